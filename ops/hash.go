package ops

import (
	"embed"
	"sync"

	"ninvk/shaders"
)

//go:embed conv*.go linear*.go batchnorm*.go reduce.go scratch.go
var recorders embed.FS // of what has variants: their tiles decide the time as much as the kernels do

// Hash is that of all kernels' sources and of what chooses their tiles, see shaders.Hash.
var Hash = sync.OnceValue(func() string { return shaders.Hash(recorders) })
