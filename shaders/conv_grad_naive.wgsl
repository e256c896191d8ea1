// Weight gradient of a convolution, one weight an invocation, as the measure for the other forms:
//
// dw[m][c][t] = Σ over output pixels p of dy[m][p] · x[c][p at t]
//
// Drivers don't make as many loop passes as there are pixels: each wid.z adds up a stretch of them into a partial
// result, which conv_grad_sum.wgsl then adds in order.
{{uniform "ConvGradNaiveParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> part: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let lane = id.x / 4u;
  let c = id.x % 4u;
  let m = q.m0 + id.y;
  if (lane >= q.span * q.k * q.k || m >= q.m1) { return; }
  let g = lane % q.span;
  let tap = lane / q.span;
  let ky = i32(tap / q.k) - q.pad;
  let kx = i32(tap % q.k) - q.pad;
  let d = id.y / 4u * q.out_plane;
  let end = min(q.out_pixels, (id.z + 1u) * q.stretch);
  var sum = 0.0;
  var chain = 0.0; // rounding errors grow with the length of a chain
  for (var p = id.z * q.stretch; p < end; p = p + 1u) {
    let ix = i32(p % q.out_w) * q.stride + kx;
    let iy = i32(p / q.out_w % q.out_h) * q.stride + ky;
    if (ix >= 0 && iy >= 0 && ix < i32(q.in_w) && iy < i32(q.in_h)) {
      let at = i32(g * q.in_plane + p / (q.out_w * q.out_h) * q.in_w * q.in_h) + iy * i32(q.in_w) + ix;
      chain = chain + dy[4u * (d + p) + m % 4u] * x[4u * u32(at) + c];
    }
    if (p % 64u == 63u) {
      sum = sum + chain;
      chain = 0.0;
    }
  }
  part[4u * ((id.z * q.m + m) * q.groups * q.k * q.k + tap * q.groups + q.in_group0 + g) + c] = sum + chain;
}
