{{- /* Global average pooling: the mean of each channel over one image; the gradient spreads evenly. */ -}}
{{uniform "GlobalAvgPoolParams"}}
@group(0) @binding(0) var<uniform> q: Q;
{{if .Grad -}}
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let p = wid.x * 64u + lid.x;
  if (p >= q.images * q.hw) { return; }
  dx[wid.y * q.in_plane + p] = dy[wid.y * q.plane + p / q.hw] / f32(q.hw);
}
{{- else -}}
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let n = wid.x * 64u + lid.x;
  if (n >= q.images) { return; }
  // One sum a row of 64 pixels, then the sum of the rows: rounding grows with the square root of the size, not with the
  // size.
  var total = vec4<f32>();
  var sum = vec4<f32>();
  for (var i = 0u; i < q.hw; i = i + 1u) {
    sum = sum + x[wid.y * q.in_plane + n * q.hw + i];
    if (i % 64u == 63u) { total = total + sum; sum = vec4<f32>(); }
  }
  y[wid.y * q.plane + n] = (total + sum) / f32(q.hw);
}
{{- end}}
