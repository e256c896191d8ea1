package gpu

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var openDevice = sync.OnceValues(func() (*Device, error) { return Open("") })

// device is the one device of this package's tests. Without an adapter they fail, and the error says what to install.
func device(t *testing.T) *Device {
	t.Helper()
	d, err := openDevice()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func newBuffer(t *testing.T, label string, size uint64) *Buffer {
	t.Helper()
	b, err := device(t).NewBuffer(label, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Release)
	return b
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func fails(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", parts)
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not contain %q", err, p)
		}
	}
}

func TestSelect(t *testing.T) {
	as := []Adapter{
		{Index: 0, Name: "llvmpipe (LLVM 15.0.6, 256 bits)", Backend: "Vulkan", Type: "cpu", Driver: "Mesa 22.3.6"},
		{Index: 1, Name: "Radeon RX 7900", Backend: "Vulkan", Type: "discrete", Driver: "Mesa 25.0.7", Default: true},
		{Index: 2, Name: "Radeon RX 6400", Backend: "Vulkan", Type: "discrete", Driver: "Mesa 25.0.7"},
		{Index: 3, Name: "Intel UHD 630", Backend: "DX12", Type: "integrated", Driver: "31.0"},
	}
	for _, test := range []struct {
		selector string
		want     int // -1 none, -2 several
	}{
		{"", 1}, {"0", 0}, {" 3 ", 3}, {"4", -1}, {"-1", -1},
		{"cpu", 0}, {"CPU", 0}, {"integrated", 3}, {"discrete", -2}, {"virtual", -1},
		{"lavapipe", 0}, {"llvmpipe", 0}, {"7900", 1}, {"radeon", -2}, {"RADEON RX 6", 2}, {"22.3", 0}, {"Mesa", -2},
		{"geforce", -1},
	} {
		a, err := Select(as, test.selector)
		var none *NoAdapterError
		var several *AmbiguousAdapterError
		switch {
		case test.want >= 0 && (err != nil || a.Index != test.want):
			t.Errorf("%q: adapter %d, error %v; want %d", test.selector, a.Index, err, test.want)
		case test.want == -1:
			if !errors.As(err, &none) {
				t.Errorf("%q: adapter %d, error %v; want NoAdapterError", test.selector, a.Index, err)
			}
			fails(t, err, test.selector, "0: llvmpipe", "3: Intel UHD 630")
		case test.want == -2:
			if !errors.As(err, &several) {
				t.Errorf("%q: adapter %d, error %v; want AmbiguousAdapterError", test.selector, a.Index, err)
			}
		}
	}
	_, err := Select(as, "radeon")
	fails(t, err, "2 adapters", "1: Radeon RX 7900", "2: Radeon RX 6400")
	if strings.Contains(err.Error(), "Intel") {
		t.Errorf("the error lists an adapter that does not match: %v", err)
	}
	for _, selector := range []string{"", "cpu", "0"} {
		if _, err := Select(nil, selector); !errors.As(err, new(*NoAdapterError)) {
			t.Errorf("%q: error %v; want NoAdapterError", selector, err)
		}
	}
}

func TestAdapters(t *testing.T) {
	as, err := Adapters()
	check(t, err)
	defaults := 0
	for i, a := range as {
		if a.Index != i || a.Name == "" || rank(a.Type) < 0 ||
			!slices.Contains([]string{"Vulkan", "Metal", "DX12", "WebGPU"}, a.Backend) {
			t.Errorf("adapter %d: %v", i, a)
		}
		if a.Limits.MaxBufferSize == 0 || a.Limits.MaxComputeInvocationsPerWorkgroup == 0 ||
			a.Limits.MaxTextureDimension2D == 0 {
			t.Errorf("%v: limits missing: %+v", a, a.Limits)
		}
		if a.Default {
			defaults++
		}
		if rank(a.Type) < rank(as[slices.IndexFunc(as, func(a Adapter) bool { return a.Default })].Type) {
			t.Errorf("%v is of a better type than the default", a)
		}
	}
	if defaults != 1 {
		t.Errorf("%d default adapters, want 1", defaults)
	}
}

func TestOpenUnknown(t *testing.T) {
	for _, byEnv := range []bool{false, true} {
		selector := "no-such-adapter"
		if byEnv {
			t.Setenv(AdapterEnv, selector)
			selector = ""
		}
		d, err := Open(selector)
		var none *NoAdapterError
		if !errors.As(err, &none) || d != nil {
			t.Fatalf("got %v, error %v; want NoAdapterError", d, err)
		}
		fails(t, err, "no-such-adapter", "known adapters", "0: ")
	}
}

func TestBuffers(t *testing.T) {
	d := device(t)
	before := d.Allocated()
	b, err := d.NewBuffer("b", 33)
	check(t, err)
	if b.Size != 48 || d.Allocated() != before+48 {
		t.Errorf("33 bytes: size %d, %d allocated; want 48", b.Size, d.Allocated()-before)
	}
	got, err := d.Read(b, 0, 48)
	check(t, err)
	if !bytes.Equal(got, make([]byte, 48)) {
		t.Errorf("a new buffer holds %v, want zeros", got)
	}
	check(t, d.Write(b, 8, Bytes([]uint32{1, 2, 3})))
	check(t, d.Write(b, 48, nil))
	got, err = d.Read(b, 4, 20)
	check(t, err)
	want := []uint32{0, 1, 2, 3, 0}
	for i, w := range want {
		if v := binary.LittleEndian.Uint32(got[4*i:]); v != w {
			t.Errorf("word %d is %d, want %d", i, v, w)
		}
	}
	floats := []float32{1.5, -2, 3e-30, 4}
	check(t, d.Write(b, 0, Bytes(floats)))
	f, err := d.ReadFloats(b, 4)
	check(t, err)
	if !slices.Equal(f, floats) {
		t.Errorf("read %v, want %v", f, floats)
	}
	fails(t, d.Write(b, 44, Bytes(floats)), `"b"`, "48")
	fails(t, d.Write(b, 0, []byte{1, 2, 3}), "3 bytes")
	b.Release()
	b.Release() // twice does no harm
	check(t, d.Wait("release"))
	if d.Allocated() != before {
		t.Errorf("%d bytes allocated after the release, want %d", d.Allocated(), before)
	}
}

func TestTooLarge(t *testing.T) {
	d := device(t)
	limits := &d.Adapter.Limits
	defer func(was Limits) { *limits = was }(*limits)
	limits.MaxBufferSize, limits.MaxTextureDimension2D = 1<<20, 64
	before := d.Allocated()
	if _, err := d.NewBuffer("whale", 1<<20+1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("error %v, want ErrTooLarge", err)
	} else {
		fails(t, err, "whale", "1048576")
	}
	if _, err := d.NewTexture("map", 65, 1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("error %v, want ErrTooLarge", err)
	}
	if d.Allocated() != before {
		t.Errorf("%d bytes counted for what was refused", d.Allocated()-before)
	}
}

// double is y = factor·x.
var double = Kernel{
	Name: "double",
	Source: `struct Q { n: u32, factor: f32 }
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < q.n) { y[id.x] = q.factor * x[id.x]; }
}`,
	Bindings: []Kind{Params, Read, Write},
}

const two = 0x40000000 // bits of 2

func TestTape(t *testing.T) {
	d := device(t)
	x, y, z := newBuffer(t, "x", 1024), newBuffer(t, "y", 1024), newBuffer(t, "z", 1024)
	in := make([]float32, 200)
	for i := range in {
		in[i] = float32(i + 1)
	}
	check(t, d.Write(x, 0, Bytes(in)))
	tape := d.NewTape("test")
	defer tape.Release()
	tape.Clear(z, 0, 1024)
	tape.Dispatch(double, []uint32{200, two}, 4, 1, 1, All(x), All(y))
	tape.Split()
	tape.Dispatch(double, []uint32{50, two}, 1, 1, 1, All(y), Slice{z, 256, 256})
	tape.Copy(y, 0, z, 0, 8)
	check(t, tape.Err())
	if n := tape.Dispatches(); n != 2 {
		t.Errorf("%d dispatches, want 2", n)
	}
	for range 2 { // a tape may be submitted again
		check(t, d.Submit(tape))
	}
	got, err := d.ReadFloats(z, 256)
	check(t, err)
	for i, v := range got {
		want := float32(0)
		switch {
		case i < 2:
			want = 2 * in[i]
		case i >= 64 && i < 114:
			want = 4 * in[i-64]
		}
		if v != want {
			t.Fatalf("z[%d] is %g, want %g", i, v, want)
		}
	}
	if p, q := mustPipeline(t, double), mustPipeline(t, double); p != q {
		t.Error("a kernel is compiled again")
	}
}

// another is double as a kernel that has to be compiled anew.
func another(i int) Kernel {
	return Kernel{Name: fmt.Sprintf("double %d", i), Source: fmt.Sprintf("// %d\n%s", i, double.Source),
		Bindings: double.Bindings}
}

// The first submit of a tape hands over commands before the kernels of later ones are compiled, in the tape's order.
func TestFirstSubmit(t *testing.T) {
	d := device(t)
	x, y := newBuffer(t, "x", 1024), newBuffer(t, "y", 1024)
	check(t, d.Write(x, 0, Bytes([]float32{3})))
	before, tape := d.NewTape("before"), d.NewTape("first")
	defer before.Release()
	defer tape.Release()
	before.Copy(x, 0, y, 0, 4)
	for i := range 8 {
		tape.Dispatch(another(2*i), []uint32{1, two}, 1, 1, 1, All(y), All(x))
		tape.Dispatch(another(2*i+1), []uint32{1, two}, 1, 1, 1, All(x), All(y))
	}
	check(t, d.Submit(before, tape))
	got, err := d.ReadFloats(y, 1)
	check(t, err)
	if want := float32(3 << 16); got[0] != want {
		t.Errorf("%g after 16 kernels that double 3, want %g", got[0], want)
	}
	check(t, d.Submit(tape))
	if got, err = d.ReadFloats(y, 1); err != nil || got[0] != 3*(1<<32) {
		t.Errorf("%g after 16 more, error %v, want 3·2³²", got[0], err)
	}
}

func mustPipeline(t *testing.T, k Kernel) *Pipeline {
	t.Helper()
	p, err := device(t).Pipeline(k)
	check(t, err)
	return p
}

// Every command is timed as often as it was asked for, and bears what it belongs to.
func TestTime(t *testing.T) {
	d := device(t)
	x, y := newBuffer(t, "x", 1024), newBuffer(t, "y", 1024)
	tape := d.NewTape("test")
	defer tape.Release()
	tape.Phase = "first"
	tape.Clear(x, 0, 1024)
	tape.Split()
	tape.Phase = "second"
	tape.Dispatch(double, []uint32{200, two}, 4, 1, 1, All(x), All(y))
	rounds := 0
	r, err := d.Time(t.Context(), tape, TimingOptions{Whole: true, Submit: time.Millisecond, Rounds: 3, Least: 3,
		Progress: func(int, int) { rounds++ }})
	check(t, err)
	if len(r.Commands) != 2 || len(r.Whole) != 3 || len(r.Host) != 3 || r.Submits != 2 || rounds != 3 {
		t.Fatalf("%d commands, %d whole tapes, %d of the host, %d submits, %d rounds; want 2, 3, 3, 2, 3", len(r.Commands),
			len(r.Whole), len(r.Host), r.Submits, rounds)
	}
	for i, want := range []Timing{{Phase: "first", Label: "clear x"}, {Phase: "second", Label: "double", Dispatch: true}} {
		got := r.Commands[i]
		if got.Phase != want.Phase || got.Label != want.Label || got.Dispatch != want.Dispatch || len(got.Seconds) != 3 ||
			!(slices.Min(got.Seconds) > 0) {
			t.Errorf("command %d: %+v", i, got)
		}
	}
	for i := range r.Whole {
		if !(r.Host[i] > 0) || r.Host[i] > r.Whole[i] {
			t.Errorf("tape %d: %v s, of these %v s of the host", i, r.Whole[i], r.Host[i])
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Time(ctx, tape, TimingOptions{Rounds: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A slot given back while its map is under way must not free what the map writes.
func TestReleaseOfBusyReadback(t *testing.T) {
	d := device(t)
	x := newBuffer(t, "x", 1024)
	for range 50 {
		r, err := d.NewReadback("slot", 16)
		check(t, err)
		check(t, d.SubmitRead(d.NewTape("nothing"), x, r))
		r.Start()
		r.Release()
	}
	check(t, d.Wait("the maps"))
}

func TestTapeErrors(t *testing.T) {
	d := device(t)
	x, y := newBuffer(t, "x", 1024), newBuffer(t, "y", 1024)
	limit := int(d.Limits().MaxComputeWorkgroupsPerDimension)
	for name, test := range map[string]struct {
		record func(*Tape)
		parts  []string
	}{
		"slice beyond the end": {func(t *Tape) { t.Dispatch(double, []uint32{1, two}, 1, 1, 1, Slice{x, 256, 1024}, All(y)) },
			[]string{"double", `"x"`, "1024"}},
		"slice off the grid": {func(t *Tape) { t.Dispatch(double, []uint32{1, two}, 1, 1, 1, Slice{x, 128, 64}, All(y)) },
			[]string{"double", `"x"`, "256"}},
		"too few resources": {func(t *Tape) { t.Dispatch(double, []uint32{1, two}, 1, 1, 1, All(x)) },
			[]string{"double", "1 resources"}},
		"too many resources": {func(t *Tape) { t.Dispatch(double, []uint32{1, two}, 1, 1, 1, All(x), All(y), All(y)) },
			[]string{"double", "3 resources"}},
		"not a resource": {func(t *Tape) { t.Dispatch(double, []uint32{1, two}, 1, 1, 1, All(x), 7) },
			[]string{"double", "int"}},
		"no workgroups": {func(t *Tape) { t.Dispatch(double, []uint32{1, two}, 0, 1, 1, All(x), All(y)) },
			[]string{"double", "0×1×1"}},
		"too many workgroups": {func(t *Tape) { t.Dispatch(double, []uint32{1, two}, 1, limit+1, 1, All(x), All(y)) },
			[]string{"double", "workgroups"}},
		"too many parameters": {func(t *Tape) { t.Dispatch(double, make([]uint32, 65), 1, 1, 1, All(x), All(y)) },
			[]string{"double", "65"}},
		"does not compile": {func(t *Tape) {
			t.Dispatch(Kernel{Name: "broken", Source: "@compute fn main() { let a = 1 + ; }"}, nil, 1, 1, 1)
		}, []string{"broken", "does not compile", d.Adapter.Name}},
		"does not compile, after one that does": {func(t *Tape) {
			t.Dispatch(another(100), []uint32{1, two}, 1, 1, 1, All(x), All(y))
			t.Dispatch(Kernel{Name: "broken", Source: "@compute fn main() { let b = 1 + ; }"}, nil, 1, 1, 1)
			t.Dispatch(another(101), []uint32{1, two}, 1, 1, 1, All(x), All(y))
		}, []string{"broken", "does not compile", d.Adapter.Name}},
		"a binding that the source lacks": {func(t *Tape) {
			t.Dispatch(Kernel{Name: "odd", Source: double.Source, Bindings: []Kind{Params, Read}}, []uint32{1, two}, 1, 1, 1,
				All(x))
		}, []string{"odd"}},
	} {
		t.Run(name, func(t *testing.T) {
			tape := d.NewTape("bad")
			defer tape.Release()
			test.record(tape)
			fails(t, d.Submit(tape), test.parts...)
			fails(t, tape.Err(), test.parts...)
			before := tape.Err()
			tape.Dispatch(double, []uint32{1, two}, 1, 1, 1, All(x), All(y)) // the first error stays
			if tape.Err() != before {
				t.Errorf("the error changed to %v", tape.Err())
			}
		})
	}
	// A binding larger than the adapter allows.
	limits := &d.Adapter.Limits
	defer func(was Limits) { *limits = was }(*limits)
	limits.MaxStorageBufferBindingSize = 512
	tape := d.NewTape("large")
	tape.Dispatch(double, []uint32{1, two}, 1, 1, 1, All(x), Slice{y, 0, 512})
	if err := d.Submit(tape); !errors.Is(err, ErrTooLarge) {
		t.Errorf("error %v, want ErrTooLarge", err)
	}
	*limits = Limits{MaxBufferSize: 1 << 20, MaxStorageBufferBindingSize: 1 << 20, MaxComputeWorkgroupsPerDimension: 1}
	// The device still works.
	good := d.NewTape("good")
	defer good.Release()
	good.Dispatch(double, []uint32{1, two}, 1, 1, 1, All(x), All(y))
	check(t, d.Submit(good))
	check(t, d.Wait("good"))
}

func TestTextures(t *testing.T) {
	d := device(t)
	before := d.Allocated()
	tex, err := d.NewTexture("texture", 64, 4)
	check(t, err)
	src := newBuffer(t, "src", 64*4*16)
	out := newBuffer(t, "out", 64*4*16)
	in := make([]float32, 64*4*4)
	for i := range in {
		in[i] = float32(i)
	}
	check(t, d.Write(src, 0, Bytes(in)))
	read := Kernel{
		Name: "read texture",
		Source: `@group(0) @binding(0) var x: texture_2d<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  y[id.x] = textureLoad(x, vec2<u32>(id.x % 64u, id.x / 64u), 0);
}`,
		Bindings: []Kind{TextureF32, Write},
	}
	// Three planes of 32 texels, of which three halves are copied: two stretches of 16 a plane, side by side.
	tape := d.NewTape("texture")
	tape.CopyStretches(All(src), tex, 2, 48, 3, 2)
	tape.Dispatch(read, nil, 4, 1, 1, tex, All(out))
	check(t, d.Submit(tape))
	got, err := d.ReadFloats(out, len(in))
	check(t, err)
	for i, v := range got {
		texel, stretch := i/4, i/4/16
		x, y := stretch%4, stretch/4
		plane, b := x%2, 2*y+x/2
		want := float32(4*(48*plane+16*b+texel%16) + i%4)
		if b > 2 {
			want = 0
		}
		if v != want {
			t.Fatalf("float %d is %g, want %g", i, v, want)
		}
	}
	// Two planes of 70 texels, in rows 0 and 1, what does not fit there in rows 2 and 3.
	planes := d.NewTape("planes")
	planes.CopyPlanes(Slice{Buffer: src, Offset: 16 * 8}, tex, 0, 2, 96, 70)
	planes.Dispatch(read, nil, 4, 1, 1, tex, All(out))
	check(t, d.Submit(planes))
	got, err = d.ReadFloats(out, len(in))
	check(t, err)
	for plane := range 2 {
		for i := range 70 {
			at := ((i/64*2+plane)*64 + i%64) * 4
			if want := float32(4 * (8 + 96*plane + i)); got[at] != want {
				t.Fatalf("texel %d of plane %d is %g, want %g", i, plane, got[at], want)
			}
		}
	}
	check(t, tex.WriteTexels(0, 3*64-2, Bytes(in[:4*4])))
	check(t, d.Submit(tape))
	if got, err = d.ReadFloats(out, len(in)); err != nil || got[3*64*4+5] != 13 || got[3*64*4-7] != 1 {
		t.Errorf("rows 2 and 3 hold %g and %g, want 1 and 13 (error %v)", got[3*64*4-7], got[3*64*4+5], err)
	}
	fails(t, tex.WriteTexels(0, 4*64-1, Bytes(in[:2*4])), `"texture"`)
	fails(t, tex.WriteTexels(1, 0, Bytes(in[:4])), `"texture"`)
	fails(t, tex.WriteTexels(0, 0, Bytes(in[:7])), `"texture"`)
	bad := d.NewTape("bad")
	bad.CopyStretches(All(src), tex, 1, 40, 1, 1)
	fails(t, bad.Err(), `"texture"`, `"src"`)
	bad = d.NewTape("bad")
	bad.CopyPlanes(All(src), tex, 1, 2, 96, 70)
	fails(t, bad.Err(), `"texture"`, `"src"`)
	tape.Release()
	planes.Release()
	tex.Release()
	tex.Release()
	src.Release()
	out.Release()
	check(t, d.Wait("release"))
	if d.Allocated() != before {
		t.Errorf("%d bytes allocated after the release, want %d", d.Allocated(), before)
	}
}

// TestReadbackRing keeps several results on their way while more work is submitted.
func TestReadbackRing(t *testing.T) {
	d := device(t)
	x, y := newBuffer(t, "x", 256), newBuffer(t, "y", 256)
	tape := d.NewTape("step")
	defer tape.Release()
	tape.Dispatch(double, []uint32{4, two}, 1, 1, 1, All(x), All(y))
	var ring [3]*Readback
	for i := range ring {
		r, err := d.NewReadback("result", 16)
		check(t, err)
		defer r.Release()
		ring[i] = r
	}
	take := func(step int) {
		r := ring[step%len(ring)]
		out := make([]float32, 4)
		check(t, r.Wait(Bytes(out)))
		if r.Busy() {
			t.Error("busy after Wait")
		}
		if want := []float32{float32(2 * step), 2, 4, 6}; !slices.Equal(out, want) {
			t.Errorf("step %d read %v, want %v", step, out, want)
		}
	}
	const steps = 10
	for step := range steps {
		r := ring[step%len(ring)]
		if r.Busy() {
			take(step - len(ring))
		}
		check(t, d.Write(x, 0, Bytes([]float32{float32(step), 1, 2, 3})))
		check(t, d.SubmitRead(tape, y, r))
		r.Start()
		if !r.Busy() {
			t.Error("not busy after Start")
		}
	}
	for step := steps - len(ring); step < steps; step++ {
		for deadline := time.Now().Add(time.Minute); !ring[step%len(ring)].Ready(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("never ready")
			}
		}
		take(step)
	}
}

// TestWaitLimit shows that waiting ends with an error that says what was running.
func TestWaitLimit(t *testing.T) {
	d := device(t)
	defer func(was time.Duration) { WaitLimit = was }(WaitLimit)
	WaitLimit = 5 * time.Millisecond
	err := d.poll("the test", func(bool) bool { return false })
	var lost *LostError
	if !errors.As(err, &lost) || lost.During != "the test" {
		t.Errorf("error %v, want a LostError during the test", err)
	}
}

// TestWaitLimitOfAStep: work that takes longer than the limit ends the wait, with a message that names it; the device
// goes on.
func TestWaitLimitOfAStep(t *testing.T) {
	d := device(t)
	x, y := newBuffer(t, "x", 256), newBuffer(t, "y", 4<<16)
	tape := d.NewTape("a long step")
	defer tape.Release()
	tape.Dispatch(longKernel("loop", "var v = x[0]; for (var i = 0u; i < 16000u; i = i + 1u) { v = v * 0.5 + 1.0; }"), nil,
		1<<10, 1, 1, All(x), All(y))
	check(t, tape.Finish())
	was := WaitLimit
	WaitLimit = time.Microsecond
	check(t, d.Submit(tape))
	err := d.Wait("the end of the step")
	WaitLimit = was
	if d.Adapter.CPU() || err != nil { // a GPU may be done by the first look
		var lost *LostError
		if !errors.As(err, &lost) {
			t.Errorf("error %v, want a LostError", err)
		}
		fails(t, err, "the end of the step", "last submitted: a long step", "1µs")
	}
	v, err := d.ReadFloats(y, 1<<16)
	check(t, err)
	if v[0] != 2 || v[1<<16-1] != 2 {
		t.Errorf("results %g and %g, want 2", v[0], v[1<<16-1])
	}
}

// TestGuard turns the binding's panics into errors, and leaves our own mistakes alone.
func TestGuard(t *testing.T) {
	fails(t, guard("a call", func() error { panic("validation failed") }), "a call", "validation failed")
	defer func() {
		if recover() == nil {
			t.Error("an index out of range was taken for the adapter's fault")
		}
	}()
	_ = guard("a call", func() error { _ = []int{}[len(os.Args)]; return nil })
}

func TestClose(t *testing.T) {
	d, err := Open(strconv.Itoa(device(t).Adapter.Index)) // several adapters may have its name
	check(t, err)
	x, err := d.NewBuffer("x", 256)
	check(t, err)
	y, err := d.NewBuffer("y", 256)
	check(t, err)
	tape := d.NewTape("last")
	tape.Dispatch(double, []uint32{4, two}, 1, 1, 1, All(x), All(y))
	check(t, d.Submit(tape))
	tape.Release()
	x.Release()
	y.Release()
	d.Close()
	if live := d.Live(); d.Allocated() != 0 || live.Buffers != 0 || live.BindGroups != 0 || live.Textures != 0 {
		t.Errorf("%d bytes left: %+v", d.Allocated(), live)
	}
}

// longKernel runs code, which makes v of x, in every invocation.
func longKernel(name, code string) Kernel {
	return Kernel{
		Name: name,
		Source: `@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>) {
  ` + code + `
  y[id.y * n.x * 64u + id.x] = v;
}`,
		Bindings: []Kind{Read, Write},
	}
}
