// Adds floats to others, all at once: sum = sum + x.
struct Q { count: u32, width: u32 }
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> sum: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.y * q.width + id.x;
  if (i >= q.count || id.x >= q.width) { return; }
  sum[i] = sum[i] + x[i];
}
