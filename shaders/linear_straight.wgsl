{{- /* A linear layer without a loop around the arithmetic, for software drivers: its output, or its input's gradient.

forward: part[z][n][m] = Σ over Q values k of w[m][k] · x[n][k]; an invocation is a row m
Turned:  part[z][n][k] = Σ over Q rows m of w[m][k] · dy[n][m]; an invocation is four neighbouring k

A workgroup stages what belongs to some images in workgroup memory, in vectors of four terms. An invocation
fetches its weights first, from the texture that they were copied to, and then the arithmetic runs on literal
places of workgroup memory. linear_sum.wgsl adds the parts. */ -}}
{{uniform "LinearStraightParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var{{if .Aligned}} w: texture_2d<f32>{{else}}<storage, read> w: array<f32>{{end}};
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> part: array<{{if .Turned}}vec4<f32>{{else}}f32{{end}}>;
var<workgroup> s: array<vec4<f32>, {{.Staged}}>;
{{- template "linear fetch" .}}

@compute @workgroup_size({{.WG}})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let first = q.first + wid.z * {{.Q}}u;
  let n0 = wid.y * {{.R}}u;
  for (var i = lid.x; i < {{.Staged}}u; i = i + {{.WG}}u) {
    let g = first / 4u + i / {{.R}}u;
    let n = n0 + i % {{.R}}u;
    let there = g < q.in_groups && n < q.images;
    s[i] = select(vec4<f32>(), x[min(g, q.in_groups - 1u) * q.in_plane + min(n, q.images - 1u)], there);
  }
  workgroupBarrier();
  let lane = wid.x * {{.WG}}u + lid.x;
{{- range $k := seq .Fetched}}
{{- if $.Turned}}
  let v{{$k}} = weights(min(first + {{$k}}u, q.terms - 1u){{if $.Aligned}} - q.first{{end}}, lane);
{{- else}}
  let v{{$k}} = weights(min(lane, q.lanes - 1u), first / 4u + {{$k}}u);
{{- end}}
{{- end}}
{{.Products}}
  let to = (q.part0 + wid.z) * q.images + n0;
{{- range $n := seq .R}}
{{- $sum := $.Sum $n $.Fetched}}
{{- if $.Turned}}
  if (lane < q.lanes && n0 + {{$n}}u < q.images) { part[(to + {{$n}}u) * q.out_groups + lane] = {{$sum}}; }
{{- else}}
  if (lane < 4u * q.out_groups && n0 + {{$n}}u < q.images) {
    part[(to + {{$n}}u) * 4u * q.out_groups + lane] = ({{$sum}}.x + {{$sum}}.y) + ({{$sum}}.z + {{$sum}}.w);
  }
{{- end}}
{{- end}}
}
{{define "linear fetch"}}
{{- /* Four weights from 4g on of a row; beyond the row's end, those of the next, which are multiplied by 0. */}}
fn weights(row: u32, g: u32) -> vec4<f32> {
{{- if .Aligned}}
  let at = min(row * (q.row / 4u) + g, q.last);
  let line = ((at >> q.shift) * q.factor) >> 17u; // at / q.width
  return textureLoad(w, vec2<u32>(at - line * q.width, line), 0);
{{- else}}
  let at = q.w0 + row * q.row + 4u * g;
  let end = q.w0 + row * q.row + q.row - 1u;
  return vec4<f32>(w[min(at, end)], w[min(at + 1u, end)], w[min(at + 2u, end)], w[min(at + 3u, end)]);
{{- end}}
}
{{- end}}
