{{- /* ReLU in place, and its gradient in place on dy: 0 where the output y is 0. Comparisons keep NaN visible. What is
read is bound as buffers or, Fetched, lies in a texture, y first: see add.wgsl. */ -}}
{{uniform "ElementwiseParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read_write> v: array<vec4<f32>>;
{{- if .Fetched}}
@group(0) @binding(2) {{template "texels"}}
{{- else if .Grad}}
@group(0) @binding(2) var<storage, read> y: array<vec4<f32>>;
{{- end}}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  for (var u = 0u; u < q.each; u = u + 1u) {
    let p = ((wid.x * 8u + lid.x / 16u) * q.each + u) * 16u + lid.x % 16u; // along memory: see reduce.wgsl
    if (p < q.pixels) {
      let i = wid.y * q.plane + p;
      {{- if .Grad}}
      let output = {{if .Fetched}}texel(i){{else}}y[i]{{end}};
      v[i] = select({{if .Fetched}}texel(q.band + i){{else}}v[i]{{end}}, vec4<f32>(), output <= vec4<f32>());
      {{- else}}
      let x = {{if .Fetched}}texel(i){{else}}v[i]{{end}};
      v[i] = select(x, vec4<f32>(), x < vec4<f32>());
      {{- end}}
    }
  }
}
