// Dropout in place, forward and backward alike: an element is kept with probability 1-p and scaled by 1/(1-p). Whether
// it is kept is a hash of (key of seed and step, layer, NCHW index in the batch), so no mask is stored and the backward
// pass finds the same one.
{{uniform "DropoutParams"}}
{{uniform "Step"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read_write> v: array<vec4<f32>>;

// PCG hash, Jarzynski and Olano, "Hash Functions for GPU Rendering", 2020.
fn pcg(v: u32) -> u32 {
  let s = v * 747796405u + 2891336453u;
  let w = ((s >> ((s >> 28u) + 4u)) ^ s) * 277803737u;
  return (w >> 22u) ^ w;
}

fn kept(index: u32, key: u32) -> f32 {
  return select(0.0, q.scale, (pcg(index + key) >> 8u) >= q.threshold);
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let key = pcg(q.layer + pcg(step.key));
  for (var u = 0u; u < q.each; u = u + 1u) {
    let p = ((wid.x * 8u + lid.x / 16u) * q.each + u) * 16u + lid.x % 16u; // along memory: see reduce.wgsl
    if (p < q.pixels) {
      let i = wid.y * q.plane + p;
      let at = ((step.from_image + p / q.hw) * q.channels + 4u * (q.group0 + wid.y)) * q.hw + p % q.hw;
      v[i] = v[i] * vec4<f32>(kept(at, key), kept(at + q.hw, key), kept(at + 2u * q.hw, key),
                              kept(at + 3u * q.hw, key));
    }
  }
}
