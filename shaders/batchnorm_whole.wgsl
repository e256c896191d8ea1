{{- /* Batch normalisation of few pixels: an invocation has a channel group whole. It adds up, works out what it needs
and goes over the pixels once more, in one dispatch, where batchnorm.wgsl has three with a workgroup for each group,
whose invocations would mostly be idle. The sums are of chains of 16 pixels: the error grows with their length.

Mode "forward": by the statistics of the pixels summed, or where there are none by the running ones: one kernel for
training and evaluation.  Mode "apply": by those in norm.
Mode "gradient": in place on dy.  What norm holds, and the formulas, are those of batchnorm.wgsl. */ -}}
{{define "begin whole"}}@compute @workgroup_size(16)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= q.groups) { return; }
  let g = q.group0 + id.x;
  let start = id.x * q.plane;{{end -}}
{{define "sums of pixels"}}var a = vec4<f32>();
  var b = vec4<f32>();
  for (var p0 = 0u; p0 < q.summed; p0 = p0 + 16u) {
    var some_a = vec4<f32>();
    var some_b = vec4<f32>();
    for (var p = p0; p < min(p0 + 16u, q.summed); p = p + 1u) {
      let i = start + p;{{end -}}
{{define "end of sums"}}
    }
    a = a + some_a;
    b = b + some_b;
  }{{end -}}
{{define "output whole"}}{{if .InPlace}}

fn value(i: u32) -> vec4<f32> { return y[i]; }
{{- end}}{{end -}}
{{define "apply whole"}}for (var p = 0u; p < q.pixels; p = p + 1u) {
    let i = start + p;
    let v = (value(i) - mean) * scale + shift;
    y[i] = {{if .ReLU}}select(v, v * q.slope, v < vec4<f32>()){{else}}v{{end}};
  }
}{{end -}}
{{uniform "BatchNormParams"}}
@group(0) @binding(0) var<uniform> q: Q;
{{- if eq .Mode "gradient"}}
@group(0) @binding(1) var<storage, read> norm: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> grads: array<f32>;
@group(0) @binding(3) var<storage, read_write> dy: array<vec4<f32>>;
@group(0) @binding(4) {{template "x" .}}

{{template "begin whole"}}
  let mean = norm[4u * g];
  let inv = norm[4u * g + 1u];
  let scale = norm[4u * g + 2u];
  let shift = norm[4u * g + 3u];
  {{template "sums of pixels"}}
      let d = value(i) - mean;
      let v = {{template "masked gradient" .}};
      some_a = some_a + v;
      some_b = some_b + v * (d * inv);
  {{- template "end of sums"}}
  {{template "keep gradients"}}
  a = a / f32(q.pixels);
  b = b / f32(q.pixels);
  for (var p = 0u; p < q.pixels; p = p + 1u) {
    let i = start + p;
    let d = value(i) - mean;
    let v = {{template "masked gradient" .}};
    dy[i] = scale * (v - a - (d * inv) * b);
  }
}
{{- else if eq .Mode "apply"}}
@group(0) @binding(1) var<storage, read> norm: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
{{- if not .InPlace}}
@group(0) @binding(3) {{template "x" .}}
{{- end}}
{{- template "output whole" .}}

{{template "begin whole"}}
  let mean = norm[4u * g];
  let scale = norm[4u * g + 2u];
  let shift = norm[4u * g + 3u];
  {{template "apply whole" .}}
{{- else}}
@group(0) @binding(1) var<storage, read> params: array<f32>;
@group(0) @binding(2) var<storage, read_write> state: array<f32>;
@group(0) @binding(3) var<storage, read_write> norm: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;
{{- if not .InPlace}}
@group(0) @binding(5) {{template "x" .}}
{{- end}}
{{- template "output whole" .}}

{{template "begin whole"}}
  let first = value(start);
  {{template "sums of pixels"}}
      let v = value(i) - first;
      some_a = some_a + v;
      some_b = some_b + v * v;
  {{- template "end of sums"}}
  {{template "statistics"}}
  if (q.summed == 0u) {
    {{template "take running"}}
  } else {
    {{template "move running"}}
  }
  {{template "keep norm"}}
  let scale = inv * weight;
  let shift = bias;
  {{template "apply whole" .}}
{{- end}}
