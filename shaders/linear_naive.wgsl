{{- /* A linear layer, one value an invocation: the form that textbooks show, as the measure for the others.

linear/forward:         y[n][m]  = Σ over k of w[m][k] · x[n][k] + bias[m]
linear/input-gradient:  dx[n][k] = Σ over m of w[m][k] · dy[n][m]
linear/weight-gradient: dw[m][k] = Σ over n of dy[n][m] · x[n][k]

k counts the values of an image channel by channel, pixels within. Activations are bound from a channel group
on. Sums are cut into chains: rounding errors grow with their length. */ -}}
{{uniform "LinearNaiveParams"}}
@group(0) @binding(0) var<uniform> q: Q;
{{- if eq .Pass "linear/forward"}}
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
{{- else if eq .Pass "linear/input-gradient"}}
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;
{{- else}}
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> dw: array<f32>;
{{- end}}

// Where value k of image n lies, and output m.
fn input(n: u32, k: u32) -> u32 {
  let c = k / q.pixels;
  return 4u * ((c / 4u - q.in_group0) * q.in_plane + n * q.pixels + k % q.pixels) + c % 4u;
}
fn output(n: u32, m: u32) -> u32 { return 4u * ((m / 4u - q.out_group0) * q.out_plane + n) + m % 4u; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  var sum = 0.0;
  var chain = 0.0;
{{- if eq .Pass "linear/forward"}}
  let n = id.x;
  let m = q.m0 + id.y;
  if (n >= q.images) { return; }
  let at = output(n, m);
  if (m >= q.m) { // beyond the last output
    y[at] = 0.0;
    return;
  }
  for (var k = q.k0; k < q.k1; k = k + 1u) {
    chain = chain + w[q.w0 + m * q.row + k] * x[input(n, k)];
    if ((k - q.k0) % q.longest == q.longest - 1u) {
      sum = sum + chain;
      chain = 0.0;
    }
  }
  sum = sum + chain;
  if (q.has_bias == 1u) { sum = sum + w[q.bias0 + m]; }
  if (q.accumulate == 1u) { sum = sum + y[at]; }
  y[at] = select(sum, sum * q.slope, sum < 0.0);
{{- else if eq .Pass "linear/input-gradient"}}
  let c = 4u * q.in_group0 + id.y;
  if (id.x >= q.images * q.pixels) { return; }
  let n = id.x / q.pixels;
  let k = c * q.pixels + id.x % q.pixels;
  let at = input(n, k);
  if (c >= q.c) { // beyond the last channel
    x[at] = 0.0;
    return;
  }
  for (var m = q.m0; m < q.m1; m = m + 1u) {
    chain = chain + w[q.w0 + m * q.row + k] * y[output(n, m)];
    if ((m - q.m0) % q.longest == q.longest - 1u) {
      sum = sum + chain;
      chain = 0.0;
    }
  }
  sum = sum + chain;
  if (q.accumulate == 1u) { sum = sum + x[at]; }
  x[at] = sum;
{{- else}}
  let k = q.k0 + id.x;
  let m = q.m0 + id.y;
  if (k >= q.k1) { return; }
  for (var n = 0u; n < q.images; n = n + 1u) {
    chain = chain + y[output(n, m)] * x[input(n, k)];
    if (n % q.longest == q.longest - 1u) {
      sum = sum + chain;
      chain = 0.0;
    }
  }
  dw[q.w0 + m * q.row + k] = sum + chain;
{{- end}}
}
