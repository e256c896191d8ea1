// Second pass of the straight weight gradient: adds partial results [part][m/4][tap·c + channel], four output channels to a vec4, in a fixed order and
// writes them as OIHW. The lane after the last, where there is one, is the bias.
struct Q { m: u32, c: u32, taps: u32, parts: u32, out0: u32, accumulate: u32, lanes: u32, bias0: u32 }
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> part: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let i = (wid.y * 65535u + wid.x) * 64u + lid.x;
  let vectors = (q.m + 3u) / 4u * q.lanes;
  if (i >= vectors) { return; }
  var sum = vec4<f32>();
  for (var z0 = 0u; z0 < q.parts; z0 = z0 + 16u) { // in short chains: the error grows with their length
    var some = vec4<f32>();
    for (var z = z0; z < min(z0 + 16u, q.parts); z = z + 1u) { some = some + part[z * vectors + i]; }
    sum = sum + some;
  }
  let lane = i % q.lanes;
  let m = i / q.lanes * 4u;
  for (var j = 0u; j < 4u; j = j + 1u) {
    let to = select(q.out0 + ((m + j) * q.c + lane % q.c) * q.taps + lane / q.c, q.bias0 + m + j, lane == q.c * q.taps);
    if (m + j < q.m) { dw[to] = select(0.0, dw[to], q.accumulate == 1u) + sum[j]; }
  }
}
