// Gathers a batch from the resident data set, transforms, resizes, normalises.
//
// The data set is bytes, four to a texel of an r32uint texture 8192 wide, image after image as CHW. Of each image of
// the batch the host gives its index and an affine matrix from output pixel (x, y, 1) to source pixel. Where the matrix
// lands on a pixel, that pixel is copied; elsewhere it is sampled by bicubic interpolation as Pillow does it (Keys's
// kernel, a = -1/2; taps outside the image dropped and the rest rescaled; both passes rounded to bytes). Outside the
// image is black.
struct Q { pixels: u32, size: u32, width: u32, height: u32, mean: vec4<f32>, inv: vec4<f32> }
struct Image { row0: vec4<f32>, row1: vec4<f32> } // row0.w holds the index, row1.w the label, as bits
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> images: array<Image>;
@group(0) @binding(2) var data: texture_2d<u32>;
@group(0) @binding(3) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> labels: array<u32>;

fn value(image: u32, channel: u32, iy: i32, ix: i32) -> f32 {
  let at = ((image * 3u + channel) * q.height + u32(iy)) * q.width + u32(ix);
  let word = textureLoad(data, vec2<u32>((at >> 2u) & 8191u, at >> 15u), 0).x;
  return f32((word >> ((at & 3u) * 8u)) & 255u);
}

fn pixel(image: u32, iy: i32, ix: i32) -> vec3<f32> {
  return vec3<f32>(value(image, 0u, iy, ix), value(image, 1u, iy, ix), value(image, 2u, iy, ix));
}

fn keys(t: f32) -> f32 {
  let a = abs(t);
  if (a < 1.0) { return (1.5 * a - 2.5) * a * a + 1.0; }
  if (a < 2.0) { return ((-0.5 * a + 2.5) * a - 4.0) * a + 2.0; }
  return 0.0;
}

// Half a byte rounds up. Halves are common where an image grows by 3/2 (weights of sixteenths); the little more keeps
// rounding errors from taking them down.
fn to_byte(v: vec3<f32>) -> vec3<f32> {
  return clamp(floor(v + vec3<f32>(0.5 + 0.0005)), vec3<f32>(), vec3<f32>(255.0));
}

fn bicubic(image: u32, sx: f32, sy: f32) -> vec3<f32> {
  let x0 = i32(floor(sx)) - 1;
  let y0 = i32(floor(sy)) - 1;
  var sum = vec3<f32>();
  var total = 0.0;
  for (var j = 0; j < 4; j = j + 1) {
    let iy = y0 + j;
    if (iy < 0 || iy >= i32(q.height)) { continue; }
    var line = vec3<f32>();
    var weights = 0.0;
    for (var i = 0; i < 4; i = i + 1) {
      let ix = x0 + i;
      if (ix < 0 || ix >= i32(q.width)) { continue; }
      let k = keys(sx - f32(ix));
      line = line + k * pixel(image, iy, ix);
      weights = weights + k;
    }
    let k = keys(sy - f32(iy));
    sum = sum + k * to_byte(line / weights);
    total = total + k;
  }
  return to_byte(sum / total);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let p = id.x;
  if (p >= q.pixels) { return; }
  let n = p / (q.size * q.size);
  let at = vec3<f32>(f32(p % q.size), f32((p / q.size) % q.size), 1.0);
  let m = images[n];
  let image = bitcast<u32>(m.row0.w);
  if (p % (q.size * q.size) == 0u) { labels[n] = bitcast<u32>(m.row1.w); }
  let sx = dot(m.row0.xyz, at);
  let sy = dot(m.row1.xyz, at);
  var v = vec3<f32>();
  if (sx >= -0.5 && sy >= -0.5 && sx <= f32(q.width) - 0.5 && sy <= f32(q.height) - 0.5) {
    if (sx == floor(sx) && sy == floor(sy)) {
      v = pixel(image, i32(sy), i32(sx));
    } else {
      v = bicubic(image, sx, sy);
    }
  }
  x[p] = vec4<f32>((v / 255.0 - q.mean.xyz) * q.inv.xyz, 0.0);
}
