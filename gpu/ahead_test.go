package gpu

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCompileAhead runs kernels that helpers compiled, and looks at the list of them.
func TestCompileAhead(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Log("one core: nothing is compiled ahead")
	}
	folder := t.TempDir()
	const kernels, values = leastAhead + 2, 16
	dispatch := func() {
		t.Helper()
		d, err := Open("")
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		d.Adapter.ShaderCache = folder // that of the list; the driver keeps its own
		told := []int{}
		d.Compiling = func(done, total int) {
			told = append(told, done)
			if total != kernels {
				t.Errorf("%d kernels to compile, want %d", total, kernels)
			}
		}
		defer func() {
			var want []int
			for i := range kernels + 1 {
				want = append(want, i)
			}
			if diff := cmp.Diff(want, told); diff != "" {
				t.Errorf("kernels compiled (-want +told):\n%s", diff)
			}
		}()
		b, err := d.NewBuffer("sums", 4*values)
		if err != nil {
			t.Fatal(err)
		}
		x, err := d.NewTexture("wide", 48, 2)
		if err != nil {
			t.Fatal(err)
		}
		tape := d.NewTape("kernels that are new")
		for i := range kernels {
			tape.Dispatch(Kernel{fmt.Sprint("add ", i), fmt.Sprintf(`
@group(0) @binding(0) var<uniform> q: vec4<u32>;
@group(0) @binding(1) var x: texture_2d<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;
@compute @workgroup_size(%d)
fn main(@builtin(local_invocation_id) lid: vec3<u32>) {
  sums[lid.x] = sums[lid.x] + f32(q.x) * %d.0 + textureLoad(x, vec2<u32>(lid.x, 0u), 0).x;
}`, values, i), []Kind{Params, TextureF32, Write}}, []uint32{uint32(i + 1)}, 1, 1, 1, x, All(b))
		}
		if err := d.Submit(tape); err != nil {
			t.Fatal(err)
		}
		got, err := d.ReadFloats(b, values)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]float32, values)
		for i := range want {
			for k := range kernels {
				want[i] += float32((k + 1) * k)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	listed := func() (n int) {
		raw, err := os.ReadFile(filepath.Join(folder, listName))
		if err != nil && runtime.NumCPU() > 1 {
			t.Fatal(err)
		}
		return strings.Count(string(raw), "\n")
	}
	want := kernels
	if runtime.NumCPU() < 2 {
		want = 0
	}
	dispatch()
	if n := listed(); n != want {
		t.Errorf("%d kernels in the list after the first time, want %d", n, want)
	}
	dispatch()
	if n := listed(); n != want {
		t.Errorf("%d kernels in the list after a second time, want %d as before", n, want)
	}
	for name, text := range map[string]string{"a damaged list": "\x00\xff no list\n", "an empty list": ""} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(folder, listName), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			dispatch()
			if n := listed() - strings.Count(text, "\n"); n != want {
				t.Errorf("%d kernels were added, want %d", n, want)
			}
		})
	}
	t.Run("a folder that is gone", func(t *testing.T) {
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		dispatch()
	})
}
