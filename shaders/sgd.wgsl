// SGD with momentum, weight decay and Nesterov's form, PyTorch's rule, on a stretch of parameters at once:
// g ← g + decay·w; v ← momentum·v + g; w ← w - rate·v, or with Nesterov w ← w - rate·(g + momentum·v).
// The rate is the step's times scale; first is the first vector that is updated.
{{uniform "SGDParams"}}
{{uniform "Step"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> grad: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> weight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> velocity: array<vec4<f32>>;

@compute @workgroup_size(128)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let own = id.y * q.width + id.x;
  if (own >= q.count || id.x >= q.width) { return; }
  let i = q.first + own;
  let w = weight[i];
  let g = grad[i] + q.decay * w;
  let v = q.momentum * velocity[i] + g;
  velocity[i] = v;
  weight[i] = w - q.scale * step.learning_rate * select(v, g + q.momentum * v, q.nesterov == 1u);
}
