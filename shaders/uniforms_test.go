package shaders

import (
	"io/fs"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

var declared = regexp.MustCompile(`\{\{uniform "(\w+)"\}\}`)

// TestUniformsAreDeclaredOnce: all shaders have their uniforms from structs, each its parameters, and no struct is
// without a shader.
func TestUniformsAreDeclaredOnce(t *testing.T) {
	names, err := fs.Glob(files, "*.wgsl")
	if err != nil || len(names) == 0 {
		t.Fatalf("no shaders found: %v", err)
	}
	used := map[string]bool{}
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, by := range []string{"struct Q", "struct Step"} {
			if strings.Contains(string(text), by) {
				t.Errorf("%s declares %s itself: it is to be printed, see uniforms.go", name, by)
			}
		}
		params := 0
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			used[m[1]] = true
			if strings.HasSuffix(m[1], "Params") {
				params++
			}
		}
		if params != 1 {
			t.Errorf("%s prints %d structs of parameters, want one", name, params)
		}
		printed := declared.FindAllString(string(text), -1)
		bound := strings.Count(string(text), "var<uniform>") + strings.Count(string(text), ": array<Image>")
		if bound != len(printed) {
			t.Errorf("%s binds %d of such structs and prints %d", name, bound, len(printed))
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(uniforms)), slices.Sorted(maps.Keys(used))); diff != "" {
		t.Errorf("structs (-uniforms.go +shaders):\n%s", diff)
	}
}

// sizes of WGSL's types in bytes, which are their alignments, too.
var sizes = map[string]int{"u32": 4, "i32": 4, "f32": 4, "vec4<f32>": 16}

var member = regexp.MustCompile(`(?m)^  (\w+): ([\w<>]+),$`)

// TestWordsLieWhereWGSLReads gives each field of each struct a value of its own, and looks for it where WGSL's rules
// have the field of that name, whose type must be able to hold it.
func TestWordsLieWhereWGSLReads(t *testing.T) {
	for name, typ := range uniforms {
		params, want := reflect.New(typ).Elem(), map[string]any{}
		for i, f := range reflect.VisibleFields(typ) {
			if f.Anonymous || f.Name == "_" {
				continue
			}
			v := params.FieldByIndex(f.Index)
			switch v.Kind() {
			case reflect.Int:
				v.SetInt(int64(math.MaxUint32 - i))
				want[snake(f.Name)] = uint32(math.MaxUint32 - i)
			case reflect.Uint32:
				v.SetUint(uint64(i))
				want[snake(f.Name)] = uint32(i)
			case reflect.Int32:
				v.SetInt(int64(-i - 1))
				want[snake(f.Name)] = int32(-i - 1)
			case reflect.Float32:
				v.SetFloat(float64(i) + 0.5)
				want[snake(f.Name)] = float32(i) + 0.5
			case reflect.Bool:
				v.SetBool(true)
				want[snake(f.Name)] = uint32(1)
			default:
				four := [4]float32{float32(i), 0.25, 0.5, 0.75}
				v.Set(reflect.ValueOf(four))
				want[snake(f.Name)] = four
			}
		}
		source, err := declaration(name)
		if err != nil {
			t.Fatal(err)
		}
		words, err := Words(source, params.Interface())
		if err != nil {
			t.Fatal(err)
		}
		got, at := map[string]any{}, 0
		for _, m := range member.FindAllStringSubmatch(source, -1) {
			size := sizes[m[2]]
			if size == 0 {
				t.Fatalf("%s.%s is a %s", name, m[1], m[2])
			}
			at = (at + size - 1) / size * size
			w := words[at/4:][:size/4]
			f := func(i int) float32 { return math.Float32frombits(w[i]) }
			switch m[2] {
			case "u32":
				got[m[1]] = w[0]
			case "i32":
				got[m[1]] = int32(w[0])
			case "f32":
				got[m[1]] = f(0)
			default:
				got[m[1]] = [4]float32{f(0), f(1), f(2), f(3)}
			}
			at += size
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-struct +WGSL):\n%s", name, diff)
		}
		if at != 4*len(words) || at > 256 {
			t.Errorf("%s: %d words, WGSL reads %d bytes, a dispatch has 256", name, len(words), at)
		}
	}
}

// TestImagesLieAsInMemory: a batch's images go to the adapter as they lie in Go's memory.
func TestImagesLieAsInMemory(t *testing.T) {
	image := Image{1, 2, 3, 4, 5, 6, [2]uint32{}, [4]float32{7}, [4]float32{8}, [4]float32{9, 10, 11, 12}}
	source, err := declaration("Image")
	if err != nil {
		t.Fatal(err)
	}
	want, err := Words(source, image)
	if err != nil {
		t.Fatal(err)
	}
	got := *(*[unsafe.Sizeof(image) / 4]uint32)(unsafe.Pointer(&image))
	if diff := cmp.Diff(want, got[:]); diff != "" {
		t.Errorf("words (-as WGSL reads +in memory):\n%s", diff)
	}
	if size := unsafe.Sizeof(image); size%16 != 0 {
		t.Errorf("%d bytes: in an array WGSL has them begin at multiples of 16", size)
	}
}

func TestWordsRefuse(t *testing.T) {
	pairs := Source("pairs", nil)
	for what, c := range map[string]struct {
		params any
		want   string
	}{
		"another shader's": {BiasParams{}, "its parameters are not shaders.BiasParams"},
		"less than zero":   {PairsParams{Half: -1}, "-1 is no value of its parameter half"},
		"too much":         {PairsParams{Plane: 1 << 32}, "4294967296 is no value of its parameter plane"},
	} {
		if _, err := Words(pairs, c.params); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", what, err, c.want)
		}
	}
	if _, err := Words(pairs, PairsParams{Half: 3, Plane: math.MaxUint32}); err != nil {
		t.Error(err)
	}
}

// The step is written as it lies in memory, many times.
func TestStepIsItsWords(t *testing.T) {
	step := Step{0.1, 2, 0.3, 0.4, 5, 0.6, 0.7}
	source, err := declaration("Step")
	if err != nil {
		t.Fatal(err)
	}
	want, err := Words(source, step)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, step.Words()); diff != "" {
		t.Errorf("words (-laid out +in memory):\n%s", diff)
	}
}

func TestSnake(t *testing.T) {
	for name, want := range map[string]string{
		"OutPixels": "out_pixels", "DYPlane": "dy_plane", "KX0": "kx0", "HW": "hw", "Group0": "group0", "W0": "w0",
		"InverseLines": "inverse_lines",
	} {
		if got := snake(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

// TestHashCoversUniforms: structs decide the code, so that their files are among those that Hash reads.
func TestHashCoversUniforms(t *testing.T) {
	structs := regexp.MustCompile(`(?m)^type (\w+) struct`)
	found := map[string]bool{}
	entries, err := generators.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := generators.ReadFile(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range structs.FindAllStringSubmatch(string(text), -1) {
			found[m[1]] = true
		}
	}
	for name := range uniforms {
		if !found[name] {
			t.Errorf("the file of %s is not embedded in generators", name)
		}
	}
}

func BenchmarkWords(b *testing.B) {
	source := ConvTile{R: 4, TM: 4, TP: 1, CH: 4, KX: 3, KY: 3, WG: 64}.Source()
	for b.Loop() {
		if _, err := Words(source, ConvStraightParams{Blocks: 3, Slope: 1}); err != nil {
			b.Fatal(err)
		}
	}
}
