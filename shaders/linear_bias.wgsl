// Gradient of a linear layer's bias: the sum of dy over the images, one invocation four outputs.
{{uniform "LinearBiasParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> grad: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= q.groups) { return; }
  var sum = vec4<f32>();
  for (var n0 = 0u; n0 < q.images; n0 = n0 + 16u) { // in short chains: the error grows with their length
    var some = vec4<f32>();
    for (var n = n0; n < min(n0 + 16u, q.images); n = n + 1u) { some = some + dy[id.x * q.plane + n]; }
    sum = sum + some;
  }
  let m = q.first + 4u * id.x;
  for (var j = 0u; j < 4u; j = j + 1u) {
    if (m + j < q.outputs) { grad[q.bias0 + m + j] = sum[j]; }
  }
}
