{{- /* ReLU in place, and its gradient in place on dy: 0 where the output y is 0. Comparisons keep NaN visible. */ -}}
{{uniform "ElementwiseParams"}}
@group(0) @binding(0) var<uniform> q: Q;
{{if .Grad -}}
@group(0) @binding(1) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> v: array<vec4<f32>>;
{{- else -}}
@group(0) @binding(1) var<storage, read_write> v: array<vec4<f32>>;
{{- end}}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  for (var u = 0u; u < q.each; u = u + 1u) {
    let p = ((wid.x * 8u + lid.x / 16u) * q.each + u) * 16u + lid.x % 16u; // along memory: see reduce.wgsl
    if (p < q.pixels) {
      let i = wid.y * q.plane + p;
      {{if .Grad -}}
      v[i] = select(v[i], vec4<f32>(), y[i] <= vec4<f32>());
      {{- else -}}
      v[i] = select(v[i], vec4<f32>(), v[i] < vec4<f32>());
      {{- end}}
    }
  }
}
