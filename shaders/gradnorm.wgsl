{{- /* The norm of all gradients, and the search for values that are NaN or infinite; the order of the sums is fixed.

Mode "part": every workgroup sums the squares of its share of the gradients, and counts what is not finite among them
and among the weights, from vector first on; Added, to what it left before. They are bound as buffers or, Fetched, lie
in a texture.
Mode "sum": one workgroup sums the parts: the norm into metrics[2], the count into metrics[3].
Mode "scale": multiplies the gradients so that their norm is at most clip (torch.nn.utils.clip_grad_norm_).

Parameters are n floats from there on; what fills up the last vector is left out. */ -}}
{{uniform "GradNormParams"}}
@group(0) @binding(0) var<uniform> q: Q;
{{- if eq .Mode "part"}}
@group(0) @binding(1) var<storage, read_write> part: array<vec2<f32>>;
{{- if .Fetched}}
@group(0) @binding(2) var values: texture_2d<f32>;

{{template "texel"}}

fn grad(i: u32) -> vec4<f32> { return texel(i); }
fn weight(i: u32) -> vec4<f32> { return texel(q.band + i); }
{{else}}
@group(0) @binding(2) var<storage, read> grads: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> weights: array<vec4<f32>>;

fn grad(i: u32) -> vec4<f32> { return grads[q.first + i]; }
fn weight(i: u32) -> vec4<f32> { return weights[q.first + i]; }
{{end}}
var<workgroup> sums: array<vec2<f32>, 128>;

// Told by the exponent's bits: compilers may take it that no value is NaN.
fn broken(v: vec4<f32>, there: vec4<bool>) -> f32 {
  let bad = (bitcast<vec4<u32>>(v) & vec4<u32>(0x7f800000u)) == vec4<u32>(0x7f800000u);
  return dot(select(vec4<f32>(), vec4<f32>(1.0), bad & there), vec4<f32>(1.0));
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  var s = vec2<f32>();
  let each = ((q.n + 3u) / 4u + 128u * q.groups - 1u) / (128u * q.groups);
  for (var u = 0u; u < each; u = u + 1u) { // along memory: see reduce.wgsl
    let i = ((wid.x * 8u + lid.x / 16u) * each + u) * 16u + lid.x % 16u;
    if (4u * i >= q.n) { break; }
    let there = vec4<u32>(4u * i) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(q.n);
    let g = select(vec4<f32>(), grad(i), there);
    s = s + vec2<f32>(dot(g, g), broken(g, there) + broken(weight(i), there));
  }
  sums[lid.x] = s;
  workgroupBarrier();
  if (lid.x != 0u) { return; }
  for (var i = 1u; i < 128u; i = i + 1u) { s = s + sums[i]; }
  if (q.added == 1u) { s = s + part[wid.x]; }
  part[wid.x] = s;
}
{{- else if eq .Mode "sum"}}
@group(0) @binding(1) var<storage, read> part: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> metrics: array<f32>;

@compute @workgroup_size(1)
fn main() {
  var s = vec2<f32>();
  for (var i = 0u; i < q.groups; i = i + 1u) { s = s + part[i]; }
  metrics[2] = sqrt(s.x);
  metrics[3] = s.y;
}
{{- else}}
@group(0) @binding(1) var<storage, read> metrics: array<f32>;
@group(0) @binding(2) var<storage, read_write> grad: array<vec4<f32>>;

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let factor = min(1.0, q.clip / (metrics[2] + 1e-6));
  for (var i = wid.x * 128u + lid.x; 4u * i < q.n; i = i + 128u * q.groups) {
    let there = vec4<u32>(4u * i) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(q.n);
    grad[i] = select(grad[i], factor * grad[i], there);
  }
}
{{- end}}
