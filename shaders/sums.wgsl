{{- /* Adds floats to others, all at once.

Mode "": sum = sum + x.
Mode "tree": the same of the vectors from first on, as dist.Tree adds: what is no normal number counts as 0.
Mode "share": sum = x times the share that the step's images have in the whole batch. */ -}}
{{uniform "SumsParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> sum: array<vec4<f32>>;
{{- if eq .Mode "share"}}
{{uniform "Step"}}
@group(0) @binding(3) var<uniform> step: Step;
{{- end}}
{{- if eq .Mode "tree"}}

fn normal(v: vec4<f32>) -> vec4<f32> {
  return select(v, vec4<f32>(), (bitcast<vec4<u32>>(v) & vec4<u32>(0x7f800000u)) == vec4<u32>());
}
{{- end}}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let own = id.y * q.line + id.x;
  if (own >= q.count || id.x >= q.line) { return; }
  let i = q.first + own;
{{- if eq .Mode "tree"}}
  sum[i] = normal(normal(sum[i]) + normal(x[i]));
{{- else if eq .Mode "share"}}
  sum[i] = step.share * x[i];
{{- else}}
  sum[i] = sum[i] + x[i];
{{- end}}
}
