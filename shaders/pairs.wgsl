// The mean of the logits of two views of an image, image i and image i + half, in place of both; one invocation a pair
// and four classes.
{{uniform "PairsParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read_write> v: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= q.half) { return; }
  let i = id.y * q.plane + id.x;
  let mean = 0.5 * v[i] + 0.5 * v[i + q.half];
  v[i] = mean;
  v[i + q.half] = mean;
}
