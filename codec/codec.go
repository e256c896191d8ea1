//go:build !js

package codec

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// Limits of decoding one file.
const (
	MaxMemory = 1 << 30 // bytes
	MaxTime   = 2 * time.Minute
)

var maxTime = MaxTime // a test has less

var (
	errMemory = &Error{fmt.Sprintf("decoding it takes more than %d MiB of memory", MaxMemory>>20), Limit}
	errTime   = &Error{fmt.Sprintf("decoding it takes more than %v", MaxTime), Limit}
)

// The modules, see wasm/build.sh.
var (
	//go:embed wasm/jpeg.wasm.gz
	jpegModule []byte
	//go:embed wasm/webp.wasm.gz
	webpModule []byte
	//go:embed wasm/avif.wasm.gz
	avifModule []byte
	//go:embed wasm/heic.wasm.gz
	heicModule []byte
)

// library is a module, compiled when it is first used.
type library struct {
	packed []byte

	once    sync.Once
	runtime wazero.Runtime
	module  wazero.CompiledModule
	err     error
}

var (
	jpeg = library{packed: jpegModule}
	webp = library{packed: webpModule}
	avif = library{packed: avifModule}
	heic = library{packed: heicModule}
)

const page = 1 << 16 // of a module's memory

func (l *library) compile() {
	ctx := context.Background()
	code, err := gzip.NewReader(bytes.NewReader(l.packed))
	if err != nil {
		l.err = err
		return
	}
	unpacked, err := io.ReadAll(code)
	if err != nil {
		l.err = err
		return
	}
	l.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().
		WithMemoryLimitPages(MaxMemory/page).WithCloseOnContextDone(true))
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, l.runtime); err != nil {
		l.err = err
		return
	}
	l.module, l.err = l.runtime.CompileModule(ctx, unpacked)
}

// sandbox is a library at work on one file.
type sandbox struct {
	ctx    context.Context
	module api.Module
}

// run has a library work on one file; what work returns, or what ended it, is the error. The sandbox is gone
// thereafter.
func (l *library) run(work func(s *sandbox) error) (err error) {
	l.once.Do(l.compile)
	if l.err != nil {
		return fmt.Errorf("the decoder can't be started: %w", l.err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxTime)
	defer cancel()
	module, err := l.runtime.InstantiateModule(ctx, l.module,
		wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
	if err != nil {
		return fmt.Errorf("the decoder can't be started: %w", err)
	}
	defer module.Close(ctx)
	err = work(&sandbox{ctx, module})
	if exit := (*sys.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == sys.ExitCodeDeadlineExceeded {
		return errTime
	}
	return err
}

// call calls a function of the module; functions without a result give 0.
func (s *sandbox) call(name string, arguments ...uint64) (uint64, error) {
	f := s.module.ExportedFunction(name)
	if f == nil {
		return 0, fmt.Errorf("the decoder has no function %s", name)
	}
	results, err := f.Call(s.ctx, arguments...)
	if err != nil || len(results) == 0 {
		return 0, err
	}
	return results[0], nil
}

// numbers are what functions without arguments tell.
func (s *sandbox) numbers(names ...string) ([]int, error) {
	var all []int
	for _, name := range names {
		v, err := s.call(name)
		if err != nil {
			return nil, err
		}
		all = append(all, int(int32(v)))
	}
	return all, nil
}

// text is the string of C at an address.
func (s *sandbox) text(at uint64) string {
	const most = 1000
	for n := uint32(most); n > 0; n /= 2 {
		if b, ok := s.module.Memory().Read(uint32(at), n); ok {
			text, _, _ := strings.Cut(string(b), "\x00")
			return text
		}
	}
	return ""
}

// give puts bytes into the memory of the module, allocated by one of its functions, and returns their address.
func (s *sandbox) give(allocate string, data []byte) (uint64, error) {
	at, err := s.call(allocate, uint64(len(data)))
	if err != nil {
		return 0, err
	}
	if at == 0 || !s.module.Memory().Write(uint32(at), data) {
		return 0, errMemory
	}
	return at, nil
}

// view is memory of the module, which stays as it is as long as no function of the module is called.
func (s *sandbox) view(at uint64, size int) ([]byte, error) {
	b, ok := s.module.Memory().Read(uint32(at), uint32(size))
	if !ok || at == 0 || at+uint64(size) > 1<<32 {
		return nil, &Error{Problem: "its decoder gave no pixels"}
	}
	return b, nil
}
