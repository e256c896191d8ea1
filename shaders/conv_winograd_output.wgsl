{{- /* The output of a convolution from the products of Winograd's F(2×2, 3×3), planes [point][channel group][tile]:
Aᵀ·p·A is a tile of 2×2 pixels, which is finished by bias, ReLU and mask. */ -}}
{{uniform "ConvWinogradParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> products: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> mask: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

{{template "finish"}}

fn put(at: u32, oy: u32, ox: u32, all: vec4<f32>) {
  if (oy < q.height && ox < q.width) {
    let to = at + oy * q.width + ox;
    y[to] = finished(all, to);
  }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let i = (wid.y * 65535u + wid.x) * 64u + lid;
  let g = i / q.tiles;
  if (q.group0 + g >= q.group1) { return; }
  let tile_at = (q.group0 + g) * q.tile_plane + i % q.tiles;
  let point = q.groups * q.tile_plane;
{{- range $x := seq 4}}
{{- range $y := seq 4}}
  let p{{$y}}{{$x}} = products[{{add (mul 4 $y) $x}}u * point + tile_at];
{{- end}}
  let a0{{$x}} = p0{{$x}} + p1{{$x}} + p2{{$x}};
  let a1{{$x}} = p1{{$x}} - p2{{$x}} - p3{{$x}};
{{- end}}
  let tile = q.tile0 + i % q.tiles;
  let place = tile % q.tiles_image;
  let at = g * q.plane + tile / q.tiles_image * q.width * q.height;
  let oy = place / q.tiles_x * 2u;
  let ox = place % q.tiles_x * 2u;
  let b = biases(q.group0 + g);
{{- range $y := seq 2}}
  put(at, oy + {{$y}}u, ox, a{{$y}}0 + a{{$y}}1 + a{{$y}}2 + b);
  put(at, oy + {{$y}}u, ox + 1u, a{{$y}}1 - a{{$y}}2 - a{{$y}}3 + b);
{{- end}}
}
