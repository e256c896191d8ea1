{{- /* Every stride-th pixel of every stride-th row, channels moved on by some, zeros where there are none; and the
gradient: the way back, zeros where no pixel was taken. One invocation a pixel and four channels of what is written.
These four are channels shift to shift + 3 of two neighbouring groups of what is read. */ -}}
{{uniform "SubsampleParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> from_: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> to: array<vec4<f32>>;

fn four(group: i32, at: u32) -> vec4<f32> {
  if (group < 0 || group >= q.groups) { return vec4<f32>(); }
  return from_[u32(group) * q.from_plane + at];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let p = wid.x * 64u + lid.x;
  if (p >= q.pixels) { return; }
  let w = p % q.to_w;
  let h = p / q.to_w % q.to_h;
  let image = p / (q.to_w * q.to_h) * q.from_h * q.from_w;
  var v = vec4<f32>();
{{- if .Grad}}
  if (w % q.stride == 0u && h % q.stride == 0u) {
    let at = image + h / q.stride * q.from_w + w / q.stride;
{{- else}}
  {
    let at = image + h * q.stride * q.from_w + w * q.stride;
{{- end}}
    let group = q.group0 + i32(wid.y);
    let a = four(group, at);
    v = a;
    if (q.shift != 0u) {
      let b = four(group + 1, at);
      if (q.shift == 1u) { v = vec4<f32>(a.yzw, b.x); }
      if (q.shift == 2u) { v = vec4<f32>(a.zw, b.xy); }
      if (q.shift == 3u) { v = vec4<f32>(a.w, b.xyz); }
    }
  }
  // Channels beyond the last stay zero.
  let there = vec4<u32>(4u * wid.y) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(q.channels);
  to[wid.y * q.to_plane + p] = select(vec4<f32>(), v, there);
}
