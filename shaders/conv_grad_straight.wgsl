{{- /* Weight gradient of a convolution, straight-line form.

dw[m][c][t] = Σ over output pixels p of dy[m][p] · x[c][p at t]

Lanes run over (tap, channel group). A workgroup stages dy of R output channels at Q pixels; an invocation fetches its texel (four
channels) for each of these pixels and keeps 4·R sums. Chunks of pixels are spread over wid.z: each z owns one partial result and adds its chunks to
it in order, dispatch after dispatch; conv_grad_sum.wgsl then adds the partial results in order, so the result is the same on every run. */ -}}
struct Q {
  out_plane: u32, out_pixels: u32, out_w: u32, out_h: u32,
  in_plane: u32, in_w: u32, in_h: u32, zero: u32,
  groups: u32, lanes: u32, m: u32, m0: u32,
  group0: u32, chunk0: u32, stride: i32, pad: i32,
  out_groups: u32, kx: u32,
}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var x: texture_2d<f32>;
@group(0) @binding(3) var<storage, read_write> dw: array<vec4<f32>>;
var<workgroup> ws: array<f32, {{mul .R .Q}}>;
{{- if not .Pointwise}}
var<workgroup> at: array<i32, {{.Q}}>;
var<workgroup> col: array<i32, {{.Q}}>;
var<workgroup> line: array<i32, {{.Q}}>;
{{- end}}

@compute @workgroup_size({{.WG}})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let m0 = q.m0 + wid.y * {{.R}}u;
  let p0 = (q.chunk0 + wid.z) * {{.Q}}u;
  for (var i = lid.x; i < {{mul .R .Q}}u / 4u; i = i + {{.WG}}u) {
    let g = i / {{.Q}}u;
    let k = i % {{.Q}}u;
    let ok = p0 + k < q.out_pixels && m0 / 4u + g < q.out_groups;
    let v = select(vec4<f32>(), dy[select(0u, (m0 / 4u + g - q.group0) * q.out_plane + p0 + k, ok)], ok);
    let o = k * {{.R}}u + g * 4u;
    ws[o] = v.x;
    ws[o + 1u] = v.y;
    ws[o + 2u] = v.z;
    ws[o + 3u] = v.w;
  }
{{- if not .Pointwise}}
  for (var i = lid.x; i < {{.Q}}u; i = i + {{.WG}}u) {
    let p = p0 + i;
    let ix = i32(p % q.out_w) * q.stride - q.pad;
    let iy = i32((p / q.out_w) % q.out_h) * q.stride - q.pad;
    let n = i32(p / (q.out_w * q.out_h));
    at[i] = n * i32(q.in_h * q.in_w) + iy * i32(q.in_w) + ix;
    col[i] = ix;
    line[i] = select(-1000000, iy, p < q.out_pixels);
  }
{{- end}}
  workgroupBarrier();

  let lane = wid.x * {{.WG}}u + lid.x;
{{- if .Pointwise}}
  let base = lane * q.in_plane + p0;
{{- range $k := seq .Q}}
  let at_{{$k}} = min(base + {{$k}}u, q.zero);
  let v{{$k}} = textureLoad(x, vec2<u32>(at_{{$k}} & 4095u, at_{{$k}} >> 12u), 0);
{{- end}}
{{- else}}
  let tap = lane / q.groups;
  let ky = i32(tap / q.kx);
  let kx = i32(tap % q.kx);
  let base = i32((lane % q.groups) * q.in_plane) + ky * i32(q.in_w) + kx;
{{- range $k := seq .Q}}
  let y{{$k}} = line[{{$k}}] + ky;
  let x{{$k}} = col[{{$k}}] + kx;
  let at_{{$k}} = select(q.zero, u32(at[{{$k}}] + base), y{{$k}} >= 0 && x{{$k}} >= 0 && y{{$k}} < i32(q.in_h) && x{{$k}} < i32(q.in_w));
  let v{{$k}} = textureLoad(x, vec2<u32>(at_{{$k}} & 4095u, at_{{$k}} >> 12u), 0);
{{- end}}
{{- end}}
{{range $b := seq .Blocks}}
{{$.Products $b}}
{{- range $r := $.Rows $b}}
  if (lane < q.lanes && m0 + {{$r}}u < q.m) {
    let o = (wid.z * q.m + m0 + {{$r}}u) * q.lanes + lane;
    dw[o] = dw[o] + {{$.Sum $r}};
  }
{{- end}}
{{end -}}
}
