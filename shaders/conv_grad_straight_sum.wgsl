// Second pass of the straight weight gradient: adds partial results, four output channels to a vec4, in a fixed order
// and writes them as OIHW. The lanes, tap·c + channel and at last the bias, where there is one, lie in stretches of 16,
// and the parts of a stretch one behind the other: [m/4][stretch][part][16]. Invocations are numbered as the weights
// lie, so that neighbours write into the same line of memory. Taps are computed from tap0 on; the others get zeros.
{{uniform "ConvGradStraightSumParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var part: texture_2d<f32>; // from texel q.begin on
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let id = wid.x * 64u + lid.x;
  if (id >= q.all) { return; }
  let bias = id == q.c * q.taps;
  let tap = id % q.taps - q.tap0; // far beyond them for one before
  let lane = select(tap * q.c + id / q.taps, q.c * q.computed, bias);
  let parts = select(0u, q.parts, bias || tap < q.computed);
  let first = q.begin + (wid.y * ((q.lanes + 15u) / 16u) + lane / 16u) * q.pitch * 16u + lane % 16u;
  var sum = vec4<f32>();
  for (var z0 = 0u; z0 < parts; z0 = z0 + 16u) { // in short chains: the error grows with their length
    var some = vec4<f32>();
    for (var z = z0; z < min(z0 + 16u, parts); z = z + 1u) {
      let at = first + 16u * z;
      let line = ((at >> q.shift) * q.factor) >> 17u; // at / q.width
      some = some + textureLoad(part, vec2<u32>(at - line * q.width, line), 0);
    }
    sum = sum + some;
  }
  for (var j = 0u; j < 4u; j = j + 1u) {
    let m = 4u * wid.y + j;
    let i = select(q.out0 + m * q.c * q.taps + id, q.bias0 + m, bias);
    if (m < q.m) {
      var before = 0.0;
      if (q.accumulate == 1u) { before = dw[i]; }
      dw[i] = before + sum[j];
    }
  }
}
