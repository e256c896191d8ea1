// Flattens an activation as PyTorch does, value k = (c·h + y)·w + x, into one of as many channels with one pixel. One
// invocation four values of an image.
{{uniform "LinearFlattenParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> to: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= q.images) { return; }
  let first = q.k0 + 4u * id.y;
  var v = vec4<f32>();
  for (var j = 0u; j < 4u; j = j + 1u) {
    let k = first + j;
    let c = k / q.pixels;
    if (k < q.k1) { v[j] = x[4u * ((c / 4u - q.group0) * q.plane + id.x * q.pixels + k % q.pixels) + c % 4u]; }
  }
  to[first / 4u * q.to_plane + id.x] = v;
}
