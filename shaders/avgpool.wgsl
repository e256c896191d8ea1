{{- /* Average pooling and its gradient. The divisor is the kernel's area, padding included. The gradient is in
maxpool.wgsl. */ -}}
{{uniform "PoolParams"}}
@group(0) @binding(0) var<uniform> q: Q;
{{if .Grad -}}
@group(0) @binding(1) var<storage, read_write> dx: array<vec4<f32>>;
// The gradient of the pooled image.
@group(0) @binding(2) {{template "x" .}}

{{template "pool gradient" .}}
{{- else -}}
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(2) {{template "x" .}}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let p = wid.x * 64u + lid.x;
  if (p >= q.invocations) { return; }
  let left = (i32(p) % q.out_w) * q.stride - q.pad;
  let top = ((i32(p) / q.out_w) % q.out_h) * q.stride - q.pad;
  let image = i32(p) / (q.out_w * q.out_h) * q.in_h * q.in_w;
  var sum = vec4<f32>();
  for (var ky = 0; ky < q.k; ky = ky + 1) {
    for (var kx = 0; kx < q.k; kx = kx + 1) {
      let iy = top + ky;
      let ix = left + kx;
      if (iy >= 0 && iy < q.in_h && ix >= 0 && ix < q.in_w) {
        sum = sum + value(wid.y * q.in_plane + u32(image + iy * q.in_w + ix));
      }
    }
  }
  y[wid.y * q.plane + p] = sum / f32(q.k * q.k);
}
{{- end}}
