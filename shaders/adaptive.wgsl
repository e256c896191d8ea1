{{- /* Adaptive average pooling and its gradient, one invocation a pixel and four channels. Along an axis of n pixels,
output i of m is the mean of the pixels from ⌊i·n/m⌋ to below ⌈(i+1)·n/m⌉; so pixel p is part of the outputs from
⌊p·m/n⌋ to below ⌈(p+1)·m/n⌉. Sums are cut into chains of 64, as in globalavgpool.wgsl. */ -}}
{{uniform "AdaptiveParams"}}
@group(0) @binding(0) var<uniform> q: Q;
{{if .Grad -}}
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4<f32>>;
{{- else -}}
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
{{- end}}

// The first of n that i of m covers, and the first beyond.
fn first(i: u32, n: u32, m: u32) -> u32 { return i * n / m; }
fn beyond(i: u32, n: u32, m: u32) -> u32 { return ((i + 1u) * n + m - 1u) / m; }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let p = wid.x * 64u + lid.x;
  if (p >= q.invocations) { return; }
  var total = vec4<f32>();
  var sum = vec4<f32>();
  var n = 0u;
{{- if .Grad}}
  let w = p % q.in_w;
  let h = p / q.in_w % q.in_h;
  let image = wid.y * q.out_plane + p / (q.in_w * q.in_h) * q.out_h * q.out_w;
  for (var i = first(h, q.out_h, q.in_h); i < beyond(h, q.out_h, q.in_h); i = i + 1u) {
    let rows = beyond(i, q.in_h, q.out_h) - first(i, q.in_h, q.out_h);
    for (var j = first(w, q.out_w, q.in_w); j < beyond(w, q.out_w, q.in_w); j = j + 1u) {
      let columns = beyond(j, q.in_w, q.out_w) - first(j, q.in_w, q.out_w);
      sum = sum + dy[image + i * q.out_w + j] / f32(rows * columns);
{{- else}}
  let w = p % q.out_w;
  let h = p / q.out_w % q.out_h;
  let image = wid.y * q.in_plane + p / (q.out_w * q.out_h) * q.in_h * q.in_w;
  for (var i = first(h, q.in_h, q.out_h); i < beyond(h, q.in_h, q.out_h); i = i + 1u) {
    for (var j = first(w, q.in_w, q.out_w); j < beyond(w, q.in_w, q.out_w); j = j + 1u) {
      sum = sum + x[image + i * q.in_w + j];
{{- end}}
      n = n + 1u;
      if (n % 64u == 0u) {
        total = total + sum;
        sum = vec4<f32>();
      }
    }
  }
{{- if .Grad}}
  dx[wid.y * q.in_plane + p] = total + sum;
{{- else}}
  y[wid.y * q.out_plane + p] = (total + sum) / f32(n);
{{- end}}
}
