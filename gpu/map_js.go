package gpu

import (
	"syscall/js"

	"ninvk/promise"
)

// mapping is the state of one asynchronous map for reading.
type mapping struct{ state *mapState }

type mapState int

const (
	mapPending mapState = iota
	mapDone
	mapFailed
)

func newMapping() mapping { return mapping{new(mapState)} }
func (mapping) free()     {}

// start asks for the bytes of b; the state changes while something else waits.
func (m mapping) start(b *Buffer) {
	const read = 1
	*m.state = mapPending
	end := func(s mapState) { *m.state = s; b.d.device.Wake() }
	promise.Then(b.b.V.Call("mapAsync", read, 0, b.Size), func(js.Value) { end(mapDone) }, func(string) { end(mapFailed) })
}

func (m mapping) pending() bool { return *m.state == mapPending }
func (m mapping) ok() bool      { return *m.state == mapDone }
