// Second pass of a tiled convolution whose sums are cut into stretches: adds the partial sums ([part][channel
// group][pixel]) in a fixed order, in short chains, and finishes them by bias, ReLU and mask.
{{uniform "ConvTiledSumParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> part: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> mask: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

{{template "finish"}}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let i = (wid.y * 65535u + wid.x) * 64u + lid;
  let groups = q.out_groups - q.out_group0;
  let g = i / q.out_pixels;
  if (g >= groups) { return; }
  let at = g * q.out_plane + i % q.out_pixels;
  var sum = biases(q.out_group0 + g);
  for (var z0 = 0u; z0 < q.parts; z0 = z0 + 16u) {
    var some = vec4<f32>();
    for (var z = z0; z < min(z0 + 16u, q.parts); z = z + 1u) { some = some + part[z * groups * q.out_plane + at]; }
    sum = sum + some;
  }
  y[at] = finished(sum, at);
}
