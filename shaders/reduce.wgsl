{{- /* First pass of the per-channel sums: every workgroup sums a run of pixels of one channel group and writes two vec4s. The second pass is in
batchnorm.wgsl or bias.wgsl. The order of the sums is fixed.

The loop over pixels has one load of each tensor and a bound known only at run time, so that no compiler unrolls it: on a software driver a load is 2 KiB of code, and
unrolled ones fall out of the instruction cache. The invocations' sums are added in two steps, the first by all of them.

Mode "sum": Σ dy (bias gradient).  "relu": the same, after masking dy in place where the output y is 0.
Mode "moments": Σ (x-s) and Σ (x-s)², s the channel's first value: no cancellation where the mean is large against the deviation.
Mode "grad": Σ dy and Σ dy·x̂ (batch normalisation), dy masked by the ReLU of the normalised value where there is one.
Fetched: x is read from a texture, see Recorder.fetched. */ -}}
struct Q { pixels: u32, plane: u32, run: u32, runs: u32, group0: u32, width: u32, shift: u32, factor: u32 }
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read_write> part: array<vec4<f32>>;
{{- if eq .Mode "sum"}}
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
{{- else if eq .Mode "relu"}}
@group(0) @binding(2) var<storage, read_write> dy: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> y: array<vec4<f32>>;
{{- else if and .Fetched (eq .Mode "moments")}}
@group(0) @binding(2) var t: texture_2d<f32>;
{{- else if eq .Mode "moments"}}
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
{{- else if .Fetched}}
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(3) var t: texture_2d<f32>;
@group(0) @binding(4) var<storage, read> norm: array<vec4<f32>>;
{{- else}}
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> norm: array<vec4<f32>>; // mean, 1/deviation, scale, shift of each channel group
{{- end}}
{{- $x := "x[i]"}}
{{- if .Fetched}}{{$x = "texel(q.group0 * q.plane + i)"}}

fn texel(i: u32) -> vec4<f32> {
  let row = ((i >> q.shift) * q.factor) >> 17u; // i / q.width
  return textureLoad(t, vec2<u32>(i - row * q.width, row), 0);
}
{{- end}}
var<workgroup> sums: array<f32, 512>; // of each invocation, eight: two vec4s
var<workgroup> slices: array<f32, 64>; // of eight invocations each

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let base = wid.y * q.plane;
  let end = min(q.pixels, (wid.x + 1u) * q.run);
  var a = vec4<f32>();
  var b = vec4<f32>();
{{- if eq .Mode "moments"}}
  let s = {{if .Fetched}}texel(q.group0 * q.plane + base){{else}}x[base]{{end}};
{{- else if eq .Mode "grad"}}
  let g = 4u * (q.group0 + wid.y);
  let mean = norm[g];
  let inv = norm[g + 1u];
{{- if .ReLU}}
  let scale = norm[g + 2u];
  let shift = norm[g + 3u];
{{- end}}
{{- end}}
  for (var p = wid.x * q.run + lid.x; p < end; p = p + 64u) {
    let i = base + p;
{{- if eq .Mode "sum"}}
    a = a + dy[i];
{{- else if eq .Mode "relu"}}
    let v = select(dy[i], vec4<f32>(), y[i] <= vec4<f32>());
    dy[i] = v;
    a = a + v;
{{- else if eq .Mode "moments"}}
    let v = {{$x}} - s;
    a = a + v;
    b = b + v * v;
{{- else}}
    let value = {{$x}};
    let given = dy[i];
    let d = value - mean;
    let v = {{if .ReLU}}select(given, vec4<f32>(), d * scale + shift <= vec4<f32>()){{else}}given{{end}};
    a = a + v;
    b = b + v * (d * inv);
{{- end}}
  }
{{- range $j := seq 4}}
  sums[8u * lid.x + {{$j}}u] = a.{{comp $j}};
  sums[8u * lid.x + {{add $j 4}}u] = b.{{comp $j}};
{{- end}}
  workgroupBarrier();
  var slice = 0.0;
  for (var i = 0u; i < 8u; i = i + 1u) { slice = slice + sums[(lid.x / 8u * 8u + i) * 8u + lid.x % 8u]; }
  slices[lid.x] = slice;
  workgroupBarrier();
  if (lid.x < 2u) {
    var sum = vec4<f32>();
    for (var i = 4u * lid.x; i < 64u; i = i + 8u) { sum = sum + vec4<f32>(slices[i], slices[i + 1u], slices[i + 2u], slices[i + 3u]); }
    part[2u * ((q.group0 + wid.y) * q.runs + wid.x) + lid.x] = sum;
  }
}
