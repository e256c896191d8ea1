{{- /* Texels of a texture that holds bands of several buffers, see Bands. */ -}}
{{define "texel"}}fn texel(at: u32) -> vec4<f32> {
  let row = ((at >> q.shift) * q.factor) >> 17u; // at / q.width
  return textureLoad(values, vec2<u32>(at - row * q.width, row), 0);
}{{end -}}
// SGD with momentum, weight decay and Nesterov's form, PyTorch's rule, on a stretch of parameters at once:
// g ← g + decay·w; v ← momentum·v + g; w ← w - rate·v, or with Nesterov w ← w - rate·(g + momentum·v).
// The rate is the step's times scale; first is the first vector that is updated. What is read is bound as buffers or,
// Fetched, lies in a texture.
{{uniform "SGDParams"}}
{{uniform "Step"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var{{if .Fetched}} values: texture_2d<f32>{{else}}<storage, read> grad: array<vec4<f32>>{{end}};
@group(0) @binding(3) var<storage, read_write> weight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> velocity: array<vec4<f32>>;
{{- if .Fetched}}

{{template "texel"}}
{{- end}}

@compute @workgroup_size(128)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let own = id.y * q.line + id.x;
  if (own >= q.count || id.x >= q.line) { return; }
  let i = q.first + own;
{{- if .Fetched}}
  let w = texel(q.band + own);
  let g = texel(own) + q.decay * w;
  let v = q.momentum * texel(2u * q.band + own) + g;
{{- else}}
  let w = weight[i];
  let g = grad[i] + q.decay * w;
  let v = q.momentum * velocity[i] + g;
{{- end}}
  velocity[i] = v;
  weight[i] = w - q.scale * step.learning_rate * select(v, g + q.momentum * v, q.nesterov == 1u);
}
