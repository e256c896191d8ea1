{{- /* The sum of two activations: of x and, where there are Two, z, else of x and what y holds, which the result
replaces; then ReLU, where it is wanted. Comparisons keep NaN visible. What is read is bound as buffers or, Fetched,
lies in a texture, in a band each (see inputs in ops/scratch.go). */ -}}
{{define "texels"}}var values: texture_2d<f32>;

{{template "texel"}}{{end -}}
{{uniform "ElementwiseParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
{{- if .Fetched}}
@group(0) @binding(2) {{template "texels"}}
{{- else}}
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
{{- if .Two}}
@group(0) @binding(3) var<storage, read> z: array<vec4<f32>>;
{{- end}}
{{- end}}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  for (var u = 0u; u < q.each; u = u + 1u) {
    let p = ((wid.x * 8u + lid.x / 16u) * q.each + u) * 16u + lid.x % 16u; // along memory: see reduce.wgsl
    if (p < q.pixels) {
      let i = wid.y * q.plane + p;
      let s = {{if .Fetched}}texel(q.band + i) + texel(i){{else if .Two}}z[i] + x[i]{{else}}y[i] + x[i]{{end}};
      y[i] = {{if .ReLU}}select(s, vec4<f32>(), s < vec4<f32>()){{else}}s{{end}};
    }
  }
}
