{{- /* Weight gradient of a convolution, straight-line form.

dw[m][c][t] = Σ over output pixels p of dy[m][p] · x[c][p at t]

Lanes run over (tap, channel). A workgroup stages dy of R output channels at Q pixels, four neighbours of a row at a
time; an invocation fetches its channel at these pixels, four to a texel (see unfold.wgsl), and keeps R sums. The lane
after the last takes ones for its channel: its sums are the gradient of the bias. dy of four pixels and four output
channels is a matrix, so that its products with a texel are one line of the kernel, not four: the compilers' first
stages take time by the line. Every z is a chunk of pixels with a partial result of its own, which is written and not
added to: a load in straight-line code costs more than the products of many pixels. conv_grad_straight_sum.wgsl adds the
partial results in order, so the result is the same every time. */ -}}
{{uniform "ConvGradStraightParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var u: texture_2d<f32>; // that holds dy as well
@group(0) @binding(2) var<storage, read_write> part: array<vec4<f32>>;
{{- range .Arrays}}
var<workgroup> ws{{.Index}}: array<mat4x4<f32>, {{mul .Rows $.RowGroups}}>; // [texel][output group], a column a pixel
{{- end}}
var<workgroup> at: array<i32, {{.Texels}}>;
var<workgroup> line: array<i32, {{.Texels}}>;

@compute @workgroup_size({{.WG}})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let m0 = wid.y * {{.R}}u;
  let t0 = (q.chunk0 + wid.z) * {{.Texels}}u;
{{- range .Arrays}}
  for (var i = lid.x; i < {{mul 4 (mul .Rows $.RowGroups)}}u; i = i + {{$.WG}}u) {
    let g = i / {{mul 4 .Rows}}u;
    let k = i % {{mul 4 .Rows}}u;
    let t = t0 + {{.From}}u + k / 4u;
    let column = 4u * (t % q.columns) + k % 4u;
    let ok = t < q.texels && column < q.out_w && m0 / 4u + g < q.out_groups;
    let pixel = select(0u, t / q.columns * q.out_w + column - q.pixel0, ok);
    let row = ((pixel >> q.shift) * q.factor) >> 17u; // pixel / q.width
    ws{{.Index}}[k / 4u * {{$.RowGroups}}u + g][k % 4u] = select(vec4<f32>(), textureLoad(u,
      vec2<u32>(pixel - row * q.width, q.grad_row + row * q.out_groups + m0 / 4u + g), 0), ok);
  }
{{- end}}
  for (var i = lid.x; i < {{.Texels}}u; i = i + {{.WG}}u) {
    let t = t0 + i;
    let row = t / q.columns;
    let iy = i32(row % q.out_h) * q.stride - q.pad;
    at[i] = (i32(row / q.out_h) * q.in_h + iy) * i32(q.columns) + i32(t % q.columns);
    line[i] = select(-1000000, iy, t < q.texels);
  }
  workgroupBarrier();

  let lane = wid.x * {{.WG}}u + lid.x;
  let tap = min(lane, q.lanes - 1u) / q.c;
  let ky = i32(tap / q.kx);
  let bias = lane >= q.lanes;
  let stretches = (q.all_lanes + 15u) / 16u;
  let base = i32((tap % q.kx * q.c + lane % q.c) * q.pitch) + ky * i32(q.columns);
{{- range $k := seq .Texels}}
  let y{{$k}} = line[{{$k}}] + ky;
  let ok{{$k}} = y{{$k}} >= 0 && y{{$k}} < q.in_h;
  let place{{$k}} = u32(select(0, base + at[{{$k}}], ok{{$k}}));
  let row{{$k}} = ((place{{$k}} >> q.shift) * q.factor) >> 17u; // of the texture: place / q.width
  let v{{$k}} = select(textureLoad(u, vec2<u32>(place{{$k}} - row{{$k}} * q.width, select(q.zero, row{{$k}}, ok{{$k}})),
    0), vec4<f32>(1.0), bias);
{{- end}}
{{range $b := seq .Blocks}}
{{$.Products $b}}
{{- range $g := $.Groups $b}}
  let to{{$g}} = select(q.spare, (((m0 / 4u + {{$g}}u) * stretches + lane / 16u) * q.parts + wid.z) * 16u + lane % 16u,
    lane < q.all_lanes && m0 / 4u + {{$g}}u < q.out_groups);
  part[to{{$g}}] = {{$.Sum $g}};
{{- end}}
{{end -}}
}
