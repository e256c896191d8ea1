{{- /* Convolution by Winograd's algorithm along the rows, straight-line form, stride 1. Also the input gradient: the
same sum over turned, transposed weights.

y[m][p] = bias[m] + Σ over channel c and tap t of w[m][c][t] · x[c][p at t]

As conv_straight.wgsl, but an invocation transforms the M+K-1 texels of a row that its M neighbouring outputs need,
multiplies them by transformed weights (see conv_winograd_weights.wgsl), one product for every point instead of one for
every output and tap, and transforms the sums into outputs. All of that stays in registers, so there is no pass over
memory that the direct form doesn't have. */ -}}
struct Q {
  blocks: u32, row_blocks: u32, out_w: u32, out_h: u32,
  out_plane: u32, out_group0: u32, out_groups: u32, accumulate: u32,
  strip: u32, in_w: u32, in_h: u32, zero: u32,
  group0: u32, in_groups: u32, ky0: u32, block0: u32,
  slope: f32, pad: i32, fold: u32, shift: u32,
}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(2) var x: texture_2d<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
var<workgroup> ws: array<vec4<f32>, {{.StagedVectors}}>; // [channel, kernel row][point][output group], then biases

@compute @workgroup_size({{.WG}})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let g0 = q.out_group0 + wid.y * {{.RowGroups}}u;
  for (var i = lid.x; i < {{.StagedVectors}}u; i = i + {{.WG}}u) {
    ws[i] = w[(q.block0 + wid.y) * {{.StagedVectors}}u + i];
  }
  workgroupBarrier();

  let block = wid.x * {{.WG}}u + lid.x;
{{- range $g := seq .Groups}}
  let group{{$g}} = min(q.group0 + {{$g}}u, q.in_groups - 1u) * 16u;
{{- end}}
  let oy = (block / q.row_blocks) % q.out_h;
  let n = block / (q.row_blocks * q.out_h);
  let ox = (block % q.row_blocks) * {{.M}}u;
  let p0 = (n * q.out_h + oy) * q.out_w + ox;
  let image = i32(n * q.in_h * q.in_w);
  let left = i32(ox) - q.pad;
  let top = i32(oy) - q.pad + i32(q.ky0);
{{- range $i := seq .Points}}
  let ix{{$i}} = left + {{$i}};
  let okx{{$i}} = ix{{$i}} >= 0 && ix{{$i}} < i32(q.in_w) && block < q.blocks;
{{- end}}
{{- range $ky := seq .KY}}
  let iy{{$ky}} = top + {{$ky}};
  let oky{{$ky}} = iy{{$ky}} >= 0 && iy{{$ky}} < i32(q.in_h);
{{- range $i := seq $.Points}}
  let ok{{$ky}}_{{$i}} = oky{{$ky}} && okx{{$i}};
  let o{{$ky}}_{{$i}} = u32(image + iy{{$ky}} * i32(q.in_w) + ix{{$i}});
  let tx{{$ky}}_{{$i}} = select(0u, ((o{{$ky}}_{{$i}} >> 4u) & q.fold) * q.strip + (o{{$ky}}_{{$i}} & 15u),
    ok{{$ky}}_{{$i}});
  let ty{{$ky}}_{{$i}} = select(q.zero, (o{{$ky}}_{{$i}} >> 4u) >> q.shift, ok{{$ky}}_{{$i}});
{{- end}}{{end}}
{{- range $g := seq .Groups}}{{range $ky := seq $.KY}}{{range $i := seq $.Points}}
  let v{{$g}}_{{$ky}}_{{$i}} = textureLoad(x, vec2<u32>(tx{{$ky}}_{{$i}} + group{{$g}}, ty{{$ky}}_{{$i}}), 0);
{{- end}}
{{$.Inputs $g $ky -}}
{{end}}{{end}}
{{range $r := seq .RowGroups}}
{{$.Products $r}}
{{- range $p := seq $.M}}
  let live{{$r}}_{{$p}} = block < q.blocks && ox + {{$p}}u < q.out_w && g0 + {{$r}}u < q.out_groups;
  let to{{$r}}_{{$p}} = select(q.out_plane - 1u, (g0 + {{$r}}u - q.out_group0) * q.out_plane + p0 + {{$p}}u,
    live{{$r}}_{{$p}});
  let sum{{$r}}_{{$p}} = r{{$r}}_{{$p}}{{if $.Accumulate}} +
    select(vec4<f32>(), y[to{{$r}}_{{$p}}], q.accumulate == 1u){{end}} + ws[{{mul $.Row $.RowGroups}}u + {{$r}}u];
  y[to{{$r}}_{{$p}}] = select(vec4<f32>(), select(sum{{$r}}_{{$p}}, sum{{$r}}_{{$p}} * q.slope,
    sum{{$r}}_{{$p}} < vec4<f32>()), live{{$r}}_{{$p}});
{{- end}}
{{end -}}
}
