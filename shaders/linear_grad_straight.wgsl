{{- /* Weight gradient of a linear layer without a loop around the arithmetic, for software drivers:

dw[m][k] = Σ over Q images n of dy[n][m] · x[n][k], Added to those of the images before

A workgroup stages the gradients of R outputs; an invocation owns four neighbouring k. */ -}}
{{uniform "LinearGradStraightParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var x: texture_2d<f32>;
@group(0) @binding(3) var<storage, read_write> dw: array<{{if .Aligned}}vec4<f32>{{else}}f32{{end}}>;
var<workgroup> s: array<vec4<f32>, {{.Staged}}>;

fn value(at: u32) -> vec4<f32> {
  let row = ((at >> q.shift) * q.factor) >> 17u; // at / q.width
  return textureLoad(x, vec2<u32>(at - row * q.width, row), 0);
}

@compute @workgroup_size({{.WG}})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  for (var i = lid.x; i < {{.Staged}}u; i = i + {{.WG}}u) {
    let n = q.first + i / {{.RowGroups}}u;
    let g = wid.y * {{.RowGroups}}u + i % {{.RowGroups}}u;
    let there = n < q.images && g < q.out_groups;
    s[i] = select(vec4<f32>(), dy[min(g, q.out_groups - 1u) * q.dy_plane + min(n, q.images - 1u)], there);
  }
  workgroupBarrier();
  let k = (wid.x * {{.WG}}u + lid.x) * 4u;
  let from_ = min(k / 4u, q.in_groups - 1u) * q.plane;
{{- range $n := seq .Q}}
  let v{{$n}} = value(from_ + min(q.first + {{$n}}u, q.images - 1u));
{{- end}}
{{.GradProducts}}
  let m = wid.y * {{.R}}u;
  let to = q.w0 + m * q.row + k;
{{- range $r := seq .R}}
{{- $sum := $.Sum $r $.Q}}
{{- if $.Aligned}}
{{- $at := printf "dw[(to + %du * q.row) / 4u]" $r}}
  if (k < q.row && m + {{$r}}u < q.rows) { {{$at}} = {{if $.Added}}{{$at}} + {{end}}{{$sum}}; }
{{- else}}
{{- range $j := seq 4}}
{{- $at := printf "dw[to + %du * q.row + %du]" $r $j}}
  if (k + {{$j}}u < q.row && m + {{$r}}u < q.rows) { {{$at}} = {{if $.Added}}{{$at}} + {{end}}{{$sum}}.{{comp $j}}; }
{{- end}}
{{- end}}
{{- end}}
}
