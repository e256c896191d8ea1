{{- /* The input of a convolution for Winograd's F(2×2, 3×3): v = Bᵀ·d·B for each tile of 4×4 pixels, of which
neighbours share two rows or columns, as planes [point][channel group][tile]. */ -}}
{{uniform "ConvWinogradParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> v: array<vec4<f32>>;

fn pixel(at: i32, iy: i32, ix: i32) -> vec4<f32> {
  let ok = u32(iy) < q.height && u32(ix) < q.width;
  return select(vec4<f32>(), x[select(0, at + iy * i32(q.width) + ix, ok)], ok);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let i = (wid.y * 65535u + wid.x) * 64u + lid;
  let g = i / q.tiles;
  if (q.group0 + g >= q.group1) { return; }
  let tile = q.tile0 + i % q.tiles;
  let image = tile / q.tiles_image;
  let place = tile % q.tiles_image;
  let at = i32(g * q.plane + image * q.width * q.height);
  let top = i32(place / q.tiles_x * 2u) - q.pad;
  let left = i32(place % q.tiles_x * 2u) - q.pad;
{{- range $x := seq 4}}
{{- range $y := seq 4}}
  let d{{$y}}{{$x}} = pixel(at, top + {{$y}}, left + {{$x}});
{{- end}}
  let b0{{$x}} = d0{{$x}} - d2{{$x}};
  let b1{{$x}} = d1{{$x}} + d2{{$x}};
  let b2{{$x}} = d2{{$x}} - d1{{$x}};
  let b3{{$x}} = d1{{$x}} - d3{{$x}};
{{- end}}
  let to = (q.group0 + g) * q.tile_plane + i % q.tiles;
  let point = q.groups * q.tile_plane;
{{- range $y := seq 4}}
  v[{{mul 4 $y}}u * point + to] = b{{$y}}0 - b{{$y}}2;
  v[{{add (mul 4 $y) 1}}u * point + to] = b{{$y}}1 + b{{$y}}2;
  v[{{add (mul 4 $y) 2}}u * point + to] = b{{$y}}2 - b{{$y}}1;
  v[{{add (mul 4 $y) 3}}u * point + to] = b{{$y}}1 - b{{$y}}3;
{{- end}}
}
