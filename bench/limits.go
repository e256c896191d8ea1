package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"ninvk/gpu"
	"ninvk/shaders"
)

// Limits are what the adapter can do, measured.
type Limits struct {
	GFlops float64 `json:"gflops"` // a multiplication and an addition count two; from registers alone
	// the best of the ways below to move memory, reading and writing counted
	GBytesPerSecond float64 `json:"gbytes_per_second"`

	CopyKernel  float64 `json:"copy_kernel_gbytes_per_second"`  // y[i] = x[i] by a shader
	Triad       float64 `json:"triad_gbytes_per_second"`        // z[i] = x[i] + s·y[i] by a shader
	CopyCommand float64 `json:"copy_command_gbytes_per_second"` // copy between buffers without a shader

	DispatchSeconds float64 `json:"dispatch_seconds"` // of a kernel that does nothing, among others that it waits for
	SubmitSeconds   float64 `json:"submit_seconds"`   // submitting one such kernel and waiting for it

	HostToAdapter float64 `json:"host_to_adapter_gbytes_per_second"`
	AdapterToHost float64 `json:"adapter_to_host_gbytes_per_second"`

	// of each figure, by its name: half the distance between the quartiles, over the median
	Spread map[string]float64 `json:"spread"`
}

// Limits measures the adapter.
func (b *Bench) Limits(ctx context.Context) (Limits, error) {
	m := &limitMeter{Bench: b, ctx: ctx, l: Limits{Spread: map[string]float64{}}}
	steps := []func() error{m.arithmetic, m.memory, m.latencies, m.host}
	for i, step := range steps {
		b.Progress("limits of the adapter", i, len(steps))
		if err := step(); err != nil {
			return m.l, fmt.Errorf("measuring the adapter's limits: %w", err)
		}
	}
	b.Progress("limits of the adapter", len(steps), len(steps))
	return m.l, nil
}

type limitMeter struct {
	*Bench
	ctx context.Context
	l   Limits
}

// arithmeticStatements is the number of multiply-adds in the body of the arithmetic kernel's loop: enough that the loop
// itself does not count.
const arithmeticStatements = 480

// arithmeticKernel multiplies and adds in straight-line code on so many independent sums: too few and it waits for its
// own results, too many and they don't fit the registers. fused writes fma(), which some drivers need to fuse and
// others take apart.
func arithmeticKernel(sums int, fused bool) gpu.Kernel {
	var s strings.Builder
	s.WriteString(shaders.Declaration(arithmeticParams{}) + `
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let a = q.a;
  let b = q.b;
`)
	for i := range sums {
		fmt.Fprintf(&s, "  var s%d = f32(id.x + %du);\n", i, i)
	}
	s.WriteString("  for (var i = 0u; i < q.passes; i++) {\n")
	last := make([]string, sums)
	for i := range arithmeticStatements {
		k := i % sums
		from := fmt.Sprintf("s%d", k)
		if last[k] != "" {
			from = last[k]
		}
		last[k] = fmt.Sprintf("t%d", i)
		form := "    let %s = %s * a + b;\n"
		if fused {
			form = "    let %s = fma(%s, a, b);\n"
		}
		fmt.Fprintf(&s, form, last[k], from)
	}
	total := make([]string, sums)
	for i := range sums {
		fmt.Fprintf(&s, "    s%d = %s;\n", i, last[i])
		total[i] = fmt.Sprintf("s%d", i)
	}
	fmt.Fprintf(&s, "  }\n  out[id.x] = %s;\n}\n", strings.Join(total, " + "))
	return gpu.Kernel{Name: fmt.Sprintf("multiply-add of %d sums", sums), Source: s.String(),
		Bindings: []gpu.Kind{gpu.Params, gpu.Write}}
}

// arithmeticForms are the forms of the arithmetic kernel that are tried.
var arithmeticForms = []struct {
	sums  int
	fused bool
}{{8, false}, {12, false}, {16, false}, {12, true}}

// The parameters of these kernels.
type (
	arithmeticParams struct {
		Passes int
		A, B   float32
	}
	copyParams  struct{ Row int }
	triadParams struct {
		Row   int
		Scale float32
	}
)

var copyKernel = gpu.Kernel{Name: "copy", Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write},
	Source: shaders.Declaration(copyParams{}) + `
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.y * q.row + id.x;
  y[i] = x[i];
}
`}

var triadKernel = gpu.Kernel{Name: "triad", Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Read, gpu.Write},
	Source: shaders.Declaration(triadParams{}) + `
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> z: array<vec4<f32>>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.y * q.row + id.x;
  z[i] = x[i] + q.scale * y[i];
}
`}

var emptyKernel = gpu.Kernel{Name: "empty", Bindings: []gpu.Kind{gpu.Write}, Source: `
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(1)
fn main() {
  x[0] = 1.0;
}
`}

// time runs a tape of one command and returns the samples of its time.
func (m *limitMeter) time(record func(t *gpu.Tape)) ([]float64, error) {
	t := m.dev.NewTape("limits")
	defer t.Release()
	record(t)
	r, err := m.dev.Time(m.ctx, t, gpu.TimingOptions{Submit: 20 * time.Millisecond, Rounds: 15, Least: 5,
		Budget: 500 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	return r.Commands[0].Seconds, nil
}

// dispatch records a kernel with its parameters.
func dispatch(t *gpu.Tape, k gpu.Kernel, params any, x, y, z int, bound ...any) {
	words, err := shaders.Words(k.Source, params)
	if err != nil { // a mistake in this file
		panic(fmt.Sprintf("%s: %v", k.Name, err))
	}
	t.Dispatch(k, words, x, y, z, bound...)
}

// rate turns samples of a time into the rate of work done in it.
func rate(work float64, seconds []float64) Sample {
	v := make([]float64, len(seconds))
	for i, s := range seconds {
		v[i] = work / s
	}
	return sampled(v)
}

// arithmetic tries the forms of the kernel; what the adapter can do is the best of them.
func (m *limitMeter) arithmetic() error {
	const invocations = 64 * 1024
	out, err := m.dev.NewBuffer("limits", 4*invocations)
	if err != nil {
		return err
	}
	defer out.Release()
	for _, form := range arithmeticForms {
		k := arithmeticKernel(form.sums, form.fused)
		for passes := 8; ; passes *= 8 {
			seconds, err := m.time(func(t *gpu.Tape) {
				dispatch(t, k, arithmeticParams{passes, 0.999, 0.001}, invocations/64, 1, 1, gpu.All(out))
			})
			if err != nil {
				return err
			}
			s := rate(2*arithmeticStatements*invocations*float64(passes)/1e9, seconds)
			if s.Median > m.l.GFlops {
				m.l.GFlops, m.l.Spread["gflops"] = s.Median, s.Spread()
			}
			if sampled(seconds).Median > 0.001 || passes >= 4096 { // the launch no longer counts
				break
			}
		}
	}
	return nil
}

// memory moves buffers of up to 128 MiB, which are larger than the caches.
func (m *limitMeter) memory() error {
	limits := m.dev.Limits()
	size := min(128<<20, limits.MaxStorageBufferBindingSize, limits.MaxBufferSize) &^ (1<<20 - 1)
	var b [3]*gpu.Buffer
	for i := range b {
		var err error
		if b[i], err = m.dev.NewBuffer(fmt.Sprintf("limits %d", i), size); err != nil {
			return err
		}
		defer b[i].Release()
	}
	const row = 256 * 256 // vec4s: 1 MiB
	rows := int(size / (16 * row))
	for _, way := range []struct {
		name   string
		figure *float64
		moved  int // buffers read or written
		record func(t *gpu.Tape)
	}{
		{"copy_kernel_gbytes_per_second", &m.l.CopyKernel, 2, func(t *gpu.Tape) {
			dispatch(t, copyKernel, copyParams{row}, row/256, rows, 1, gpu.All(b[0]), gpu.All(b[1]))
		}},
		{"triad_gbytes_per_second", &m.l.Triad, 3, func(t *gpu.Tape) {
			dispatch(t, triadKernel, triadParams{row, 3}, row/256, rows, 1, gpu.All(b[0]), gpu.All(b[1]), gpu.All(b[2]))
		}},
		{"copy_command_gbytes_per_second", &m.l.CopyCommand, 2, func(t *gpu.Tape) { t.Copy(b[0], 0, b[1], 0, size) }},
	} {
		seconds, err := m.time(way.record)
		if err != nil {
			return err
		}
		s := rate(float64(way.moved)*float64(size)/1e9, seconds)
		*way.figure, m.l.Spread[way.name] = s.Median, s.Spread()
		if s.Median > m.l.GBytesPerSecond {
			m.l.GBytesPerSecond, m.l.Spread["gbytes_per_second"] = s.Median, s.Spread()
		}
	}
	return nil
}

func (m *limitMeter) latencies() error {
	b, err := m.dev.NewBuffer("limits", 16)
	if err != nil {
		return err
	}
	defer b.Release()
	seconds, err := m.time(func(t *gpu.Tape) { t.Dispatch(emptyKernel, nil, 1, 1, 1, gpu.All(b)) })
	if err != nil {
		return err
	}
	s := sampled(seconds)
	m.l.DispatchSeconds, m.l.Spread["dispatch_seconds"] = s.Median, s.Spread()
	t := m.dev.NewTape("limits")
	defer t.Release()
	t.Dispatch(emptyKernel, nil, 1, 1, 1, gpu.All(b))
	seconds = nil
	for range 50 {
		start := time.Now()
		if err := m.dev.Submit(t); err != nil {
			return err
		}
		if err := m.dev.Wait("an empty kernel"); err != nil {
			return err
		}
		seconds = append(seconds, time.Since(start).Seconds())
	}
	s = sampled(seconds)
	m.l.SubmitSeconds, m.l.Spread["submit_seconds"] = s.Median, s.Spread()
	return nil
}

// host copies to the adapter and back.
func (m *limitMeter) host() error {
	const size = 32 << 20
	b, err := m.dev.NewBuffer("limits", size)
	if err != nil {
		return err
	}
	defer b.Release()
	data := make([]byte, size)
	var up, down []float64
	for i := range 6 {
		start := time.Now()
		if err := m.dev.Write(b, 0, data); err != nil {
			return err
		}
		if err := m.dev.Flush("copying to the adapter"); err != nil {
			return err
		}
		written := time.Now()
		if _, err := m.dev.Read(b, 0, size); err != nil {
			return err
		}
		if i > 0 { // the first one touches fresh memory
			up, down = append(up, written.Sub(start).Seconds()), append(down, time.Since(written).Seconds())
		}
	}
	u, d := rate(size/1e9, up), rate(size/1e9, down)
	m.l.HostToAdapter, m.l.Spread["host_to_adapter_gbytes_per_second"] = u.Median, u.Spread()
	m.l.AdapterToHost, m.l.Spread["adapter_to_host_gbytes_per_second"] = d.Median, d.Spread()
	return nil
}
