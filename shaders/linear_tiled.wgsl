{{- /* A linear layer in tiles, for GPUs: both operands go through workgroup memory, so that each weight is read once
for BN images.

forward: part[z][n][m] = Σ over k of w[m][k] · x[n][k]
turned:  part[z][n][k] = Σ over m of w[m][k] · dy[n][m]
grad:    dw[m][k]      = Σ over n of dy[n][m] · x[n][k], added to those of the images before

Part z is the sum over the z-th stretch of so many terms. Workgroup memory is in scalars: two invocations must not
store parts of one vector. */ -}}
{{- $groups := div .S 4}}
{{uniform "LinearTiledParams"}}
@group(0) @binding(0) var<uniform> q: Q;
{{- if eq .Pass "grad"}}
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dw: array<{{if .Aligned}}vec4<f32>{{else}}f32{{end}}>;
{{- else}}
@group(0) @binding(1) var<storage, read> w: array<{{if .Aligned}}vec4<f32>{{else}}f32{{end}}>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> part: array<vec4<f32>>;
{{- end}}
var<workgroup> a: array<f32, {{mul .S .BM}}>;
var<workgroup> b: array<f32, {{mul .S .BN}}>;
{{- if ne .Pass "grad"}}

// Four weights of a row, 0 where there are none.
fn four(m: u32, k: u32) -> vec4<f32> {
  let there = vec4<u32>(k) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(q.row);
  if (m >= q.rows || k >= q.row) { return vec4<f32>(); }
  let at = q.w0 + m * q.row + k;
{{- if .Aligned}}
  return select(vec4<f32>(), w[at / 4u], there);
{{- else}}
  return select(vec4<f32>(), vec4<f32>(w[at], w[at + 1u], w[at + 2u], w[at + 3u]), there);
{{- end}}
}
{{- end}}

@compute @workgroup_size({{.WG}})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let outputs = 4u * (lid.x % {{div .BM 4}}u); // of the tile, and images
  let images = 4u * (lid.x / {{div .BM 4}}u);
  let m0 = wid.x * {{.BM}}u;
  let n0 = wid.y * {{.BN}}u;
  let from_ = q.first + wid.z * q.terms;
  let end = min(q.all, from_ + q.terms);
{{- range $i := seq 4}}
  var sum{{$i}} = vec4<f32>();
{{- end}}
  for (var t = from_; t < end; t = t + {{.S}}u) {
{{- if eq .Pass "grad"}}
    for (var i = lid.x; i < {{mul .S (div .BM 4)}}u; i = i + {{.WG}}u) {
      let g = m0 / 4u + i / {{.S}}u;
      let n = t + i % {{.S}}u;
      var v = vec4<f32>();
      if (g < q.out_groups && n < end) { v = dy[g * q.dy_plane + n]; }
      let to = i % {{.S}}u * {{.BM}}u + i / {{.S}}u * 4u;
{{- range $j := seq 4}}
      a[to + {{$j}}u] = v.{{comp $j}};
{{- end}}
    }
    for (var i = lid.x; i < {{mul .S (div .BN 4)}}u; i = i + {{.WG}}u) {
      let g = n0 / 4u + i / {{.S}}u;
      let n = t + i % {{.S}}u;
      var v = vec4<f32>();
      if (g < q.x_groups && n < end) { v = x[g * q.x_plane + n]; }
      let to = i % {{.S}}u * {{.BN}}u + i / {{.S}}u * 4u;
{{- range $j := seq 4}}
      b[to + {{$j}}u] = v.{{comp $j}};
{{- end}}
    }
{{- else}}
    for (var i = lid.x; i < {{mul $groups .BM}}u; i = i + {{.WG}}u) {
{{- if eq .Pass "forward"}}
      let v = four(m0 + i / {{$groups}}u, t + i % {{$groups}}u * 4u);
      let to = i % {{$groups}}u * {{mul 4 .BM}}u + i / {{$groups}}u;
{{- range $j := seq 4}}
      a[to + {{mul $j $.BM}}u] = v.{{comp $j}};
{{- end}}
{{- else}}
      let v = four(t + i / {{div .BM 4}}u, m0 + i % {{div .BM 4}}u * 4u);
      let to = i / {{div .BM 4}}u * {{.BM}}u + i % {{div .BM 4}}u * 4u;
{{- range $j := seq 4}}
      a[to + {{$j}}u] = v.{{comp $j}};
{{- end}}
{{- end}}
    }
    for (var i = lid.x; i < {{mul $groups .BN}}u; i = i + {{.WG}}u) {
      let g = t / 4u + i / {{.BN}}u;
      let n = n0 + i % {{.BN}}u;
      var v = vec4<f32>();
      if (g < q.x_groups && n < q.images) { v = x[g * q.x_plane + n]; }
      let to = i / {{.BN}}u * {{mul 4 .BN}}u + i % {{.BN}}u;
{{- range $j := seq 4}}
      b[to + {{mul $j $.BN}}u] = v.{{comp $j}};
{{- end}}
    }
{{- end}}
    workgroupBarrier();
    for (var k = 0u; k < {{.S}}u; k = k + 1u) {
      let i = k * {{.BM}}u + outputs;
      let j = k * {{.BN}}u + images;
{{- if eq .Pass "grad"}}
      let v = vec4<f32>(b[j], b[j + 1u], b[j + 2u], b[j + 3u]);
{{- range $r := seq 4}}
      sum{{$r}} = sum{{$r}} + a[i + {{$r}}u] * v;
{{- end}}
{{- else}}
      let v = vec4<f32>(a[i], a[i + 1u], a[i + 2u], a[i + 3u]);
{{- range $r := seq 4}}
      sum{{$r}} = sum{{$r}} + b[j + {{$r}}u] * v;
{{- end}}
{{- end}}
    }
    workgroupBarrier();
  }
{{- range $r := seq 4}}
{{- if eq $.Pass "grad"}}
  store(m0 + outputs + {{$r}}u, n0 + images, sum{{$r}});
{{- else}}
  if ((m0 + outputs) / 4u < q.out_groups && n0 + images + {{$r}}u < q.images) {
    part[(wid.z * q.images + n0 + images + {{$r}}u) * q.out_groups + (m0 + outputs) / 4u] = sum{{$r}};
  }
{{- end}}
{{- end}}
}
{{- if eq .Pass "grad"}}

fn store(m: u32, k: u32, v: vec4<f32>) {
  if (m >= q.rows || k >= q.row) { return; }
  let at = q.w0 + m * q.row + k;
{{- if .Aligned}}
  if (q.accumulate == 1u) {
    dw[at / 4u] = dw[at / 4u] + v;
  } else {
    dw[at / 4u] = v;
  }
{{- else}}
  for (var j = 0u; j < min(4u, q.row - k); j = j + 1u) {
    dw[at + j] = select(0.0, dw[at + j], q.accumulate == 1u) + v[j];
  }
{{- end}}
}
{{- end}}
