// Second pass of the bias gradient: adds the partial sums of reduce.wgsl and writes the gradient.
{{uniform "BiasParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> part: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> grad: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let c = 4u * id.x;
  if (c >= q.channels) { return; }
  var a = vec4<f32>();
  for (var i = 0u; i < q.stretches; i = i + 1u) { a = a + part[2u * (id.x * q.stretches + i)]; }
  for (var j = 0u; j < 4u; j = j + 1u) {
    if (c + j < q.channels) { grad[q.out0 + c + j] = a[j]; }
  }
}
