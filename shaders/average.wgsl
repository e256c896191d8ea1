// Exponential moving average of values, all at once: average ← average + rate·(value - average), from the first
// vector on. What is read is bound as buffers or, Fetched, lies in a texture.
{{uniform "AverageParams"}}
{{uniform "Step"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var{{if .Fetched}} values: texture_2d<f32>{{else}}<storage, read> value: array<vec4<f32>>{{end}};
@group(0) @binding(3) var<storage, read_write> average: array<vec4<f32>>;
{{- if .Fetched}}

{{template "texel"}}
{{- end}}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let own = id.y * q.line + id.x;
  if (own >= q.count || id.x >= q.line) { return; }
  let i = q.first + own;
  let rate = select(step.average_rate, step.statistics_rate, q.statistics == 1u);
{{- if .Fetched}}
  let before = texel(q.band + own);
  average[i] = before + rate * (texel(own) - before);
{{- else}}
  average[i] = average[i] + rate * (value[i] - average[i]);
{{- end}}
}
