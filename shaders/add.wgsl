// Adds one activation to another in place: sum = sum + x.
struct Q { pixels: u32, plane: u32 }
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> sum: array<vec4<f32>>;

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  for (var u = 0u; u < 8u; u = u + 1u) {
    let p = (wid.x * 8u + u) * 128u + lid.x;
    if (p < q.pixels) {
      let i = wid.y * q.plane + p;
      sum[i] = sum[i] + x[i];
    }
  }
}
