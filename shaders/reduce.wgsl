{{- /* First pass of the per-channel sums: every workgroup sums a stretch of pixels of one channel group and writes two
vec4s. The second pass is in batchnorm.wgsl or bias.wgsl. The order of the sums is fixed.

The loop over pixels has one load of each tensor and a bound known only at run time, so that no compiler unrolls it: on
a software driver a load is 2 KiB of code, and unrolled ones fall out of the instruction cache. Sixteen invocations,
such a driver's vector, have a stretch of memory of their own: they run their whole loop before the next ones begin
theirs, and no prefetcher follows jumps. The invocations' sums are added in two steps, the first by all of them.

Mode "sum": Σ x (bias gradient, of what is the output's).
Mode "moments": Σ (x-s) and Σ (x-s)², s the channel's first value: no cancellation where the mean is large against
the deviation.
Mode "grad": Σ dy and Σ dy·x̂ (batch normalisation), dy masked by the ReLU of the normalised value where there is
one. What is read is bound as buffers or, Fetched, lies in a texture, x before dy: see add.wgsl. */ -}}
{{define "x"}}
{{- if .Fetched}}{{template "texels"}}

fn value(i: u32) -> vec4<f32> { return texel(i); }
{{- else}}var<storage, read> x: array<vec4<f32>>;

fn value(i: u32) -> vec4<f32> { return x[i]; }
{{- end}}{{end -}}
{{define "dy"}}{{if .Fetched}}texel(q.band + i){{else}}dy[i]{{end}}{{end -}}
{{define "masked gradient"}}{{if .ReLU -}}
select({{template "dy" .}}, vec4<f32>(), d * scale + shift <= vec4<f32>()){{else}}{{template "dy" .}}{{end}}{{end -}}
{{uniform "ReduceParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read_write> part: array<vec4<f32>>;
{{- if eq .Mode "grad"}}
// mean, 1/deviation, scale, shift of each channel group
@group(0) @binding(2) var<storage, read> norm: array<vec4<f32>>;
@group(0) @binding(3) {{template "x" .}}
{{- if not .Fetched}}
@group(0) @binding(4) var<storage, read> dy: array<vec4<f32>>;
{{- end}}
{{- else}}
@group(0) @binding(2) {{template "x" .}}
{{- end}}
var<workgroup> sums: array<f32, 512>; // of each invocation, eight: two vec4s
var<workgroup> slices: array<f32, 64>; // of eight invocations each

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let base = wid.y * q.plane;
  let first = wid.x * q.stretch + lid.x / 16u * (q.stretch / 4u);
  let end = min(q.pixels, first + q.stretch / 4u);
  var a = vec4<f32>();
  var b = vec4<f32>();
{{- if eq .Mode "moments"}}
  let s = value(base);
{{- else if eq .Mode "grad"}}
  let g = 4u * (q.group0 + wid.y);
  let mean = norm[g];
  let inv = norm[g + 1u];
{{- if .ReLU}}
  let scale = norm[g + 2u];
  let shift = norm[g + 3u];
{{- end}}
{{- end}}
  for (var p = first + lid.x % 16u; p < end; p = p + 16u) {
    let i = base + p;
{{- if eq .Mode "sum"}}
    a = a + value(i);
{{- else if eq .Mode "moments"}}
    let v = value(i) - s;
    a = a + v;
    b = b + v * v;
{{- else}}
    let d = value(i) - mean;
    let v = {{template "masked gradient" .}};
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
    for (var i = 4u * lid.x; i < 64u; i = i + 8u) { sum = sum +
      vec4<f32>(slices[i], slices[i + 1u], slices[i + 2u], slices[i + 3u]); }
    part[2u * ((q.group0 + wid.y) * q.stretches + wid.x) + lid.x] = sum;
  }
}
