// Second pass of a convolution's weight gradient: adds the partial results (m × lanes vectors of four input channels,
// lanes being taps × channel groups) in a fixed order and writes them as OIHW. The bias's partial sums, where there
// are any, follow them, a vector for four output channels.
{{uniform "ConvGradSumParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> part: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let i = (wid.y * 65535u + wid.x) * 64u + lid.x;
  let vectors = q.m * q.lanes;
  if (i >= vectors + q.bias_groups) { return; }
  let bias = i >= vectors;
  let at = i + select(0u, q.parts * vectors - vectors, bias);
  let step = select(vectors, q.bias_groups, bias);
  var sum = vec4<f32>();
  for (var z0 = 0u; z0 < q.parts; z0 = z0 + 16u) { // in short chains: the error grows with their length
    var some = vec4<f32>();
    for (var z = z0; z < min(z0 + 16u, q.parts); z = z + 1u) { some = some + part[at + z * step]; }
    sum = sum + some;
  }
  let m = i / q.lanes;
  let lane = i % q.lanes;
  let c = select((lane % q.groups) * 4u, 4u * (i - vectors), bias);
  let end = select(q.c, q.m, bias);
  let o = select(q.out0 + (m * q.c + c) * q.taps + lane / q.groups, q.bias0 + c, bias);
  let next = select(q.taps, 1u, bias);
  if (c < end) { dw[o] = sum.x; }
  if (c + 1u < end) { dw[o + next] = sum.y; }
  if (c + 2u < end) { dw[o + 2u * next] = sum.z; }
  if (c + 3u < end) { dw[o + 3u * next] = sum.w; }
}
