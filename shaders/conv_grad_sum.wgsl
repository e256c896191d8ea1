// Adds the partial weight gradients of conv_grad_straight.wgsl in a fixed order and writes them as OIHW.
struct Q { m: u32, lanes: u32, groups: u32, c: u32, taps: u32, parts: u32, out0: u32 }
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> part: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let i = (wid.y * 65535u + wid.x) * 64u + lid.x;
  if (i >= q.m * q.lanes) { return; }
  var sum = vec4<f32>();
  for (var z = 0u; z < q.parts; z = z + 1u) { sum = sum + part[z * q.m * q.lanes + i]; }
  let m = i / q.lanes;
  let lane = i % q.lanes;
  let c = (lane % q.groups) * 4u;
  let o = q.out0 + (m * q.c + c) * q.taps + lane / q.groups;
  if (c < q.c) { dw[o] = sum.x; }
  if (c + 1u < q.c) { dw[o + q.taps] = sum.y; }
  if (c + 2u < q.c) { dw[o + 2u * q.taps] = sum.z; }
  if (c + 3u < q.c) { dw[o + 3u * q.taps] = sum.w; }
}
