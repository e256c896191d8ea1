{{- /* Convolution, one output an invocation: the form that textbooks show, as the measure for the others. Also the
input gradient: the same sum over turned, transposed weights.

y[m][p] = bias[m] + Σ over channel c and tap t of w[m][c][t] · x[c][p at t] */ -}}
{{uniform "ConvNaiveParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let p = id.x;
  let m = 4u * q.out_group0 + id.y;
  if (p >= q.out_pixels || m >= 4u * q.out_groups) { return; }
  let at = 4u * (id.y / 4u * q.out_plane + p) + id.y % 4u;
  if (m >= q.m) { // beyond the last channel
    y[at] = 0.0;
    return;
  }
  let left = i32(p % q.out_w) * q.stride - q.pad;
  let top = i32(p / q.out_w % q.out_h) * q.stride - q.pad;
  let image = i32(p / (q.out_w * q.out_h) * q.in_w * q.in_h);
  var sum = 0.0;
  var chain = 0.0; // of q.chain channels: rounding errors grow with its length
  for (var c = q.c0; c < q.c1; c = c + 1u) {
    let plane = i32((c - q.c0) / 4u * q.in_plane) + image;
    let weight = q.w0 + i32(m) * q.wm + i32(c) * q.wc;
    for (var ky = 0; ky < q.k; ky = ky + 1) {
      let iy = (top + ky) / q.dilate;
      if (top + ky >= 0 && (top + ky) % q.dilate == 0 && iy < i32(q.in_h)) {
        for (var kx = 0; kx < q.k; kx = kx + 1) {
          let ix = (left + kx) / q.dilate;
          if (left + kx >= 0 && (left + kx) % q.dilate == 0 && ix < i32(q.in_w)) {
            chain = chain + w[weight + (ky * q.k + kx) * q.wt] * x[4 * (plane + iy * i32(q.in_w) + ix) + i32(c % 4u)];
          }
        }
      }
    }
    if ((c - q.c0 + 1u) % q.chain == 0u) {
      sum = sum + chain;
      chain = 0.0;
    }
  }
  sum = sum + chain;
  if (q.has_bias == 1u) { sum = sum + w[q.bias0 + m]; }
  if (q.accumulate == 1u) { sum = sum + y[at]; }
  y[at] = select(sum, sum * q.slope, sum < 0.0);
}
