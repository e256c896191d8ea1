package ops

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"

	"ninvk/shaders"
)

//go:embed conv*.go linear*.go batchnorm*.go reduce.go scratch.go
var recorders embed.FS // of what has variants: their tiles decide the time as much as the kernels do

// Hash is that of all kernels' sources and of what chooses their tiles, in hexadecimal: what was measured with others
// no longer holds.
var Hash = sync.OnceValue(func() string {
	h := sha256.New()
	fmt.Fprintln(h, shaders.Hash())
	entries, _ := recorders.ReadDir(".") // what is embedded can be read
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		text, _ := recorders.ReadFile(e.Name())
		fmt.Fprintf(h, "%s %d\n%s", e.Name(), len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil))
})
