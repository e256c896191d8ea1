{{- /* Gathers a batch out of the images on the adapter: cuts, resizes, colours, normalises.

Images are bytes, four to a texel of an array of r32uint textures, CHW; how they lie is ops.layout's. Of each image of
the batch the host gives its place, scale and shift of each axis from output pixel to source pixel, and a matrix of
colours. Where both land on a pixel, and nothing shrinks, that pixel is copied; elsewhere it is sampled by bicubic
interpolation as Pillow does it (Keys's kernel, a = -1/2, as many times as wide as the image shrinks; taps outside the
image dropped and the rest rescaled; across, then down, both rounded to bytes). Outside the image is black. */ -}}
{{uniform "AugmentParams"}}
{{uniform "Image"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> images: array<Image>;
@group(0) @binding(2) var data: texture_2d_array<u32>;
@group(0) @binding(3) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> labels: array<u32>;

// Where an image begins: byte of a row of texels, row, layer.
fn start(image: u32) -> vec3<u32> {
  let at = image % q.layer_images;
  return vec3<u32>(at % q.row_images * q.stored, at / q.row_images * q.image_rows, image / q.layer_images);
}

// Where line y of each channel begins: byte and row.
struct Line { byte: vec4<u32>, row: vec4<u32>, layer: u32 }

fn line(image: vec3<u32>, y: u32) -> Line {
  let n = vec4<u32>(0u, 1u, 2u, 3u) * q.height + y;
  let down = vec4<u32>((vec4<f32>(n) + 0.5) * q.inverse_lines); // n / q.lines: far from the next whole number
  return Line(image.x + (n - down * q.lines) * q.width, image.y + down, image.z);
}

fn value(at: u32, row: u32, layer: u32) -> f32 {
  let word = textureLoad(data, vec2<i32>(i32(at >> 2u), i32(row)), i32(layer), 0).x;
  return f32((word >> ((at & 3u) * 8u)) & 255u);
}

fn pixel(l: Line, x: u32) -> vec4<f32> {
  var v = vec4<f32>();
{{- range .Channels}}
  v.{{.}} = value(l.byte.{{.}} + x, l.row.{{.}}, l.layer);
{{- end}}
  return v;
}

fn keys(t: f32) -> f32 {
  let a = abs(t);
  if (a < 1.0) { return (1.5 * a - 2.5) * a * a + 1.0; }
  if (a < 2.0) { return ((-0.5 * a + 2.5) * a - 4.0) * a + 2.0; }
  return 0.0;
}

// Half a byte rounds up. Halves are common where an image grows by 3/2 (weights of sixteenths); the little more keeps
// rounding errors from taking them down.
fn to_byte(v: vec4<f32>) -> vec4<f32> {
  return clamp(floor(v + 0.5 + 0.0005), vec4<f32>(), vec4<f32>(255.0));
}

fn bicubic(image: vec3<u32>, sx: f32, sy: f32, scale: vec2<f32>) -> vec4<f32> {
  let reach = 2.0 * scale;
  let narrow = 1.0 / scale;
  let x0 = max(i32(floor(sx + 1.0 - reach.x)), 0);
  let y0 = max(i32(floor(sy + 1.0 - reach.y)), 0);
  let x1 = min(i32(floor(sx + 1.0 + reach.x)), i32(q.width));
  let y1 = min(i32(floor(sy + 1.0 + reach.y)), i32(q.height));
  var sum = vec4<f32>();
  var total = 0.0;
  for (var iy = y0; iy < y1; iy = iy + 1) {
    let l = line(image, u32(iy));
    var across = vec4<f32>();
    var weights = 0.0;
    for (var ix = x0; ix < x1; ix = ix + 1) {
      let k = keys((sx - f32(ix)) * narrow.x);
      across = across + k * pixel(l, u32(ix));
      weights = weights + k;
    }
    let k = keys((sy - f32(iy)) * narrow.y);
    sum = sum + k * to_byte(across / weights);
    total = total + k;
  }
  return to_byte(sum / total);
}

// Bytes of new colours are cut off, as Pillow's are; the little more keeps rounding errors from taking whole ones down.
fn coloured(m: Image, v: vec4<f32>) -> vec4<f32> {
{{- if lt (len .Channels) 3}}
  let c = vec4<f32>(v.xxx, 1.0);
  let grey = clamp(floor(dot(m.red, c) + 0.0005), 0.0, 255.0);
  return vec4<f32>(grey, v.yzw);
{{- else}}
  let c = vec4<f32>(v.xyz, 1.0);
  let rgb = floor(vec3<f32>(dot(m.red, c), dot(m.green, c), dot(m.blue, c)) + 0.0005);
  return vec4<f32>(clamp(rgb, vec3<f32>(), vec3<f32>(255.0)), v.w);
{{- end}}
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let p = id.x;
  if (p >= q.pixels) { return; }
  let n = p / (q.size * q.size);
  let m = images[n];
  if (p % (q.size * q.size) == 0u) { labels[n] = m.label; }
  let image = start(m.place);
  let sx = m.scale_x * f32(p % q.size) + m.shift_x;
  let sy = m.scale_y * f32(p / q.size % q.size) + m.shift_y;
  let scale = max(abs(vec2<f32>(m.scale_x, m.scale_y)), vec2<f32>(1.0));
  var v = vec4<f32>();
  if (sx >= -0.5 && sy >= -0.5 && sx <= f32(q.width) - 0.5 && sy <= f32(q.height) - 0.5) {
    if (sx == floor(sx) && sy == floor(sy) && scale.x * scale.y == 1.0) {
      v = pixel(line(image, u32(sy)), u32(sx));
    } else {
      v = bicubic(image, sx, sy, scale);
    }
  }
  v = (coloured(m, v) / 255.0 - q.mean) * q.inverse;
  // The channels that there are not are zero.
  x[p] = vec4<f32>(
{{- range $i, $c := .Channels}}{{if $i}}, {{end}}v.{{$c}}{{end}}
{{- if lt (len .Channels) 2}}, 0.0{{end}}
{{- if lt (len .Channels) 3}}, 0.0{{end}}
{{- if lt (len .Channels) 4}}, 0.0{{end}});
}
