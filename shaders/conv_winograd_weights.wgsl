{{- /* The weights of a 3×3 convolution for Winograd's F(2×2, 3×3): u = G·w·Gᵀ for each pair of channels, in the order
in which conv_tiled.wgsl reads them, [point][input channel][four output channels], 0 beyond those there are. */ -}}
{{uniform "ConvTiledWeightsParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> ordered: array<vec4<f32>>;

fn weight(m: u32, c: u32, tap: i32) -> f32 {
  let there = m < q.m && c < q.c;
  return select(0.0, w[select(0, q.w0 + i32(m) * q.wm + i32(c) * q.wc + tap * q.wt, there)], there);
}

fn weights(m: u32, c: u32, tap: i32) -> vec4<f32> {
  return vec4<f32>(weight(m, c, tap), weight(m + 1u, c, tap), weight(m + 2u, c, tap), weight(m + 3u, c, tap));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let i = (wid.y * 65535u + wid.x) * 64u + lid;
  let lines = 4u * q.in_groups;
  let c = i / q.rows;
  if (c >= lines) { return; }
  let m = 4u * (i % q.rows);
{{- range $x := seq 3}}
{{- range $y := seq 3}}
  let w{{$y}}{{$x}} = weights(m, c, {{add (mul 3 $y) $x}});
{{- end}}
  let g0{{$x}} = w0{{$x}};
  let g1{{$x}} = 0.5 * (w0{{$x}} + w1{{$x}} + w2{{$x}});
  let g2{{$x}} = 0.5 * (w0{{$x}} - w1{{$x}} + w2{{$x}});
  let g3{{$x}} = w2{{$x}};
{{- end}}
{{- range $y := seq 4}}
  ordered[({{mul 4 $y}}u * lines) * q.rows + i] = g{{$y}}0;
  ordered[({{add (mul 4 $y) 1}}u * lines) * q.rows + i] = 0.5 * (g{{$y}}0 + g{{$y}}1 + g{{$y}}2);
  ordered[({{add (mul 4 $y) 2}}u * lines) * q.rows + i] = 0.5 * (g{{$y}}0 - g{{$y}}1 + g{{$y}}2);
  ordered[({{add (mul 4 $y) 3}}u * lines) * q.rows + i] = g{{$y}}2;
{{- end}}
}
