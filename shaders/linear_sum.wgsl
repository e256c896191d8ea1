{{- /* Adds up the parts of a linear layer's sums, [part][image][group of four], in a fixed order: the output with bias
and ReLU, or the input's gradient. One invocation a pixel and four channels of the result. Where these are Flat,
of one pixel, invocations are side by side along the channels; else along the pixels, which lie apart in the
parts. The parts are bound as a buffer or, Fetched, lie in a texture. */ -}}
{{uniform "LinearSumParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var{{if .Fetched}} part: texture_2d<f32>{{else}}<storage, read> part: array<vec4<f32>>{{end}};
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

fn value(at: u32) -> vec4<f32> {
{{- if .Fetched}}
  let row = ((at >> q.shift) * q.factor) >> 17u; // at / q.width
  return textureLoad(part, vec2<u32>(at - row * q.width, row), 0);
{{- else}}
  return part[at];
{{- end}}
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let i = wid.x * 64u + lid.x;
{{- if .Flat}}
  let g = q.group0 + i;
  let p = wid.y;
  let n = p;
  if (g >= q.end) { return; }
{{- else}}
  let g = q.group0 + wid.y;
  let p = i;
  let n = p / q.pixels;
  if (n >= q.images) { return; }
  let k = vec4<u32>(4u * g, 4u * g + 1u, 4u * g + 2u, 4u * g + 3u) * q.pixels + vec4<u32>(p % q.pixels);
{{- end}}
  var sum = vec4<f32>();
  for (var z0 = 0u; z0 < q.parts; z0 = z0 + 16u) { // in short chains: the error grows with their length
    var some = vec4<f32>();
    for (var z = z0; z < min(z0 + 16u, q.parts); z = z + 1u) {
      let at = (z * q.images + n) * q.groups;
{{- if .Flat}}
      some = some + value(at + g);
{{- else}}
      // Beyond the last channel any place will do.
      let v = min(k / 4u, vec4<u32>(q.groups - 1u)) + vec4<u32>(at);
      some = some + vec4<f32>(value(v.x)[k.x % 4u], value(v.y)[k.y % 4u], value(v.z)[k.z % 4u], value(v.w)[k.w % 4u]);
{{- end}}
    }
    sum = sum + some;
  }
  let to = (g - q.group0) * q.plane + p;
  if (q.accumulate == 1u) { sum = sum + y[to]; }
  let there = vec4<u32>(4u * g) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(q.channels);
  if (q.has_bias == 1u) {
    let b = q.bias0 + 4u * g;
    sum = sum + vec4<f32>(w[b], w[b + 1u], w[b + 2u], w[b + 3u]);
  }
  sum = select(vec4<f32>(), sum, there);
  y[to] = select(sum, sum * q.slope, sum < vec4<f32>());
}
