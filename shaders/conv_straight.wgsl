{{- /* Convolution, straight-line form. Also the input gradient: the same sum over turned, transposed weights.

y[m][p] = bias[m] + Σ over channel c and tap t of w[m][c][t] · x[c][p at t]

A workgroup stages the weights of R output channels for one chunk (CH channels, KY kernel rows) in workgroup memory. An invocation owns TP
neighbouring output pixels of one row, fetches every texel it needs once, and then runs through R·CH·taps·TP multiply-adds without
loop or branch: on a software driver a weight at a literal index of workgroup memory is then an operand of the multiply and costs nothing,
and only there. Texels outside the image are fetched from one texel of zeros (index q.zero), so no padded copy exists. */ -}}
struct Q {
  blocks: u32, row_blocks: u32, out_w: u32, out_h: u32,
  out_plane: u32, out_pixels: u32, out_group0: u32, out_groups: u32,
  in_plane: u32, in_w: u32, in_h: u32, zero: u32,
  m: u32, m0: u32, c: u32, c0: u32,
  taps: u32, tap0: u32, ky0: u32, accumulate: u32,
  w0: i32, wm: i32, wc: i32, wt: i32,
  bias0: u32, has_bias: u32, slope: f32, stride: i32,
  pad: i32, dilate: i32,
}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var x: texture_2d<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
var<workgroup> ws: array<f32, {{.Staged}}>;

@compute @workgroup_size({{.WG}})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let m0 = q.m0 + wid.y * {{.R}}u;
  for (var i = lid.x; i < {{.Weights}}u; i = i + {{.WG}}u) {
    let m = m0 + i / {{.Row}}u;
    let c = q.c0 + (i % {{.Row}}u) / {{.Taps}}u;
    let t = q.tap0 + i % {{.Taps}}u;
    let ok = m < q.m && c < q.c && t < q.taps;
    ws[i] = select(0.0, w[select(0, q.w0 + i32(m) * q.wm + i32(c) * q.wc + i32(t) * q.wt, ok)], ok);
  }
  for (var i = lid.x; i < {{.R}}u; i = i + {{.WG}}u) {
    let ok = m0 + i < q.m && q.has_bias == 1u;
    ws[{{.Weights}}u + i] = select(0.0, w[select(0u, q.bias0 + m0 + i, ok)], ok);
  }
  workgroupBarrier();

  let block = wid.x * {{.WG}}u + lid.x;
{{- if .Pointwise}}
  let p0 = block * {{.TP}}u;
{{- range $g := seq .Groups}}{{range $p := seq $.TP}}
  let i{{$g}}_{{$p}} = (q.c0 / 4u + {{$g}}u) * q.in_plane + p0 + {{$p}}u;
  let v{{$g}}_0_{{$p}} = textureLoad(x, vec2<u32>(i{{$g}}_{{$p}} & 4095u, i{{$g}}_{{$p}} >> 12u), 0);
{{- end}}{{end}}
{{- else}}
  let oy = (block / q.row_blocks) % q.out_h;
  let n = block / (q.row_blocks * q.out_h);
  let ox = (block % q.row_blocks) * {{.TP}}u;
  let p0 = (n * q.out_h + oy) * q.out_w + ox;
  let image = i32(n * q.in_h * q.in_w + q.c0 / 4u * q.in_plane);
  let left = i32(ox) * q.stride - q.pad;
  let top = i32(oy) * q.stride - q.pad + i32(q.ky0);
{{- range $i := seq .Span}}
  let ix{{$i}} = {{$.Coordinate "left" $i}};
  let okx{{$i}} = {{$.Inside "left" $i}} && ix{{$i}} < i32(q.in_w);
{{- end}}
{{- range $ky := seq .KY}}
  let iy{{$ky}} = {{$.Coordinate "top" $ky}};
  let oky{{$ky}} = {{$.Inside "top" $ky}} && iy{{$ky}} < i32(q.in_h);
{{- range $i := seq $.Span}}
  let ok{{$ky}}_{{$i}} = oky{{$ky}} && okx{{$i}};
  let o{{$ky}}_{{$i}} = u32(image + iy{{$ky}} * i32(q.in_w) + ix{{$i}});
{{- end}}{{end}}
{{- range $g := seq .Groups}}{{range $ky := seq $.KY}}{{range $i := seq $.Span}}
  let at{{$g}}_{{$ky}}_{{$i}} = select(q.zero, o{{$ky}}_{{$i}} + {{$g}}u * q.in_plane, ok{{$ky}}_{{$i}});
  let v{{$g}}_{{$ky}}_{{$i}} = textureLoad(x, vec2<u32>(at{{$g}}_{{$ky}}_{{$i}} & 4095u, at{{$g}}_{{$ky}}_{{$i}} >> 12u), 0);
{{- end}}{{end}}{{end}}
{{- end}}
{{range $b := seq .Blocks}}
{{$.Products $b}}
{{- range $r := $.BlockGroups $b}}{{range $p := seq $.TP}}
  let g{{$r}}_{{$p}} = m0 / 4u + {{$r}}u;
  if (block < q.blocks && {{$.PixelInside $p}} && g{{$r}}_{{$p}} < q.out_groups) {
    let at = (g{{$r}}_{{$p}} - q.out_group0) * q.out_plane + p0 + {{$p}}u;
    let sum = {{$.Sum $r $p}}{{if $.Accumulate}} + select(vec4<f32>(), y[at], q.accumulate == 1u){{end}} +
      vec4<f32>({{range $j := seq 4}}{{if $j}}, {{end}}ws[{{$.BiasIndex $r $j}}]{{end}});
    y[at] = select(sum, sum * q.slope, sum < vec4<f32>());
  }
{{- end}}{{end}}
{{end -}}
}
