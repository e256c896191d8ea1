package folder

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"ninvk/dataset"
	"ninvk/picture"
)

// facts are what one look at a file tells.
type facts struct {
	kind    kind
	sum     [sha256.Size]byte // of the file
	w, h    uint32            // pixels of the image, as it is to be seen
	colour  bool              // it has a pixel that is not grey
	problem string            // of a broken one
	size    int64             // of the file, in bytes
	time    int64             // of its last change, in nanoseconds since 1970
}

type kind uint8

const (
	anImage kind = iota
	broken       // an image that can't be decoded
	noImage      // something else, which is passed over
)

// look reads and decodes a file. buffer is memory for its bytes, which is returned, grown or not.
func look(name string, buffer []byte) (facts, []byte) {
	data, info, err := picture.ReadBytes(name, buffer)
	if err != nil {
		f := facts{kind: broken, problem: err.Error()}
		if !picture.IsImage(name, nil) {
			f.kind = noImage
		}
		return f, buffer
	}
	f := facts{size: info.Size(), time: info.ModTime().UnixNano()}
	if !picture.IsImage(name, data) {
		f.kind = noImage
		return f, data
	}
	f.sum = sha256.Sum256(data)
	img, err := picture.DecodeBytes(data)
	if err != nil {
		f.kind, f.problem = broken, err.Error()
		return f, data
	}
	b := img.Bounds()
	f.w, f.h = uint32(b.Dx()), uint32(b.Dy())
	f.colour = !picture.Grey(img)
	return f, data
}

// check looks at every file of a collection, on all cores.
func (c *collection) check(o dataset.Options) [][]facts {
	all := make([][]facts, len(c.parts))
	total := 0
	for i, p := range c.parts {
		all[i] = make([]facts, len(p.items))
		total += len(p.items)
	}
	var next, done atomic.Int64
	var workers sync.WaitGroup
	var telling sync.Mutex
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			var buffer []byte
			for {
				i := int(next.Add(1)) - 1
				part := 0
				for part < len(all) && i >= len(all[part]) {
					i -= len(all[part])
					part++
				}
				if part == len(all) {
					return
				}
				name := filepath.Join(c.root, filepath.FromSlash(c.parts[part].items[i].path))
				all[part][i], buffer = look(name, buffer)
				if n := int(done.Add(1)); o.Progress != nil {
					telling.Lock()
					o.Progress(fmt.Sprintf("checking %d files", total), n, total)
					telling.Unlock()
				}
			}
		})
	}
	workers.Wait()
	return all
}
