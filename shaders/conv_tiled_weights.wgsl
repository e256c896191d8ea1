{{- /* The weights of a convolution in the order in which conv_tiled.wgsl reads them: [tap][input channel][vector of
four output channels], 0 beyond the channels. */ -}}
{{uniform "ConvTiledWeightsParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> ordered: array<vec4<f32>>;

fn weight(m: u32, c: u32, tap: u32) -> f32 {
  let there = m < q.m && c < q.c;
  return select(0.0, w[select(0, q.w0 + i32(m) * q.wm + i32(c) * q.wc + i32(tap) * q.wt, there)], there);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let i = (wid.y * 65535u + wid.x) * 64u + lid;
  let line = i / q.rows;
  let tap = line / (4u * q.in_groups);
  if (tap >= q.taps) { return; }
  let m = 4u * (i % q.rows);
  let c = line % (4u * q.in_groups);
  ordered[i] = vec4<f32>(weight(m, c, tap), weight(m + 1u, c, tap), weight(m + 2u, c, tap), weight(m + 3u, c, tap));
}
