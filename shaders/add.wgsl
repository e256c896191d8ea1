{{- /* Adds x to another activation: where there are Two to z, else to what sum holds, which the result replaces; then
ReLU, where it is wanted. Comparisons keep NaN visible. */ -}}
{{uniform "ElementwiseParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read_write> sum: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
{{- if .Two}}
@group(0) @binding(3) var<storage, read> z: array<vec4<f32>>;
{{- end}}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  for (var u = 0u; u < q.each; u = u + 1u) {
    let p = ((wid.x * 8u + lid.x / 16u) * q.each + u) * 16u + lid.x % 16u; // along memory: see reduce.wgsl
    if (p < q.pixels) {
      let i = wid.y * q.plane + p;
      let s = {{if .Two}}z{{else}}sum{{end}}[i] + x[i];
      sum[i] = {{if .ReLU}}select(s, vec4<f32>(), s < vec4<f32>()){{else}}s{{end}};
    }
  }
}
