{{- /* Weight gradient of a convolution for GPUs: a GEMM with tiles in workgroup memory, split along the pixels.

dw[m][c][t] = Σ over output pixels p of dy[m][p] · x[c][p at t],  dbias[m] = Σ over p of dy[m][p]

A workgroup computes BM output channels × BN pairs of tap and input channel group over the stretch of pixels that wid.z
counts, BP pixels a step; an invocation holds TM channels × TN pairs (each four channels) in registers. While it adds
up a step's products, what the next one needs is on its way from memory; where Double, the tiles of two steps take turns
in workgroup memory. A long stretch takes several dispatches, each of which adds to the sums so far; within one,
products are added up in chains of Chain steps, and the chains' sums apart: rounding errors grow with the length of a
chain. Each stretch has its own partial result; conv_grad_sum.wgsl adds them in order, so the result is the same every
time. The workgroups of the first pairs add up dy for the bias on the way. Where there are fewer than four input
channels in all, those that lack have no sums. */ -}}
{{uniform "ConvGradTiledParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> part: array<vec4<f32>>;
var<workgroup> ds: array<array<array<vec4<f32>, {{.RowD}}>, {{.BP}}>, {{.Buffers}}>;
var<workgroup> xs: array<array<array<vec4<f32>, {{.Row}}>, {{.BP}}>, {{.Buffers}}>;

{{define "tiled grad fetch"}}
    {
{{- if not .Pointwise}}
      let left = i32(ox) * q.stride - q.pad;
      let top = i32(oy) * q.stride - q.pad;
      let image = i32(n * q.in_w * q.in_h);
{{- end}}
{{- range $e := seq .Staging}}
      {
{{- if $.Pointwise}}
        let ok = p < end && u{{$e}} < pairs;
        px{{$e}} = select(vec4<f32>(), x[select(0u, plane{{$e}} + p, ok)], ok);
{{- else}}
        let ix = left + kx{{$e}};
        let iy = top + ky{{$e}};
        let ok = p < end && u32(iy) < q.in_h && u32(ix) < q.in_w;
        px{{$e}} = select(vec4<f32>(), x[select(0, plane{{$e}} + image + iy * i32(q.in_w) + ix, ok)], ok);
{{- end}}
      }
{{- end}}
{{- range $e := seq .StagingD}}
      {
        let g = group0 + line + {{mul $e $.Lines}}u;
        let ok = p < end && g < q.out_groups;
        pd{{$e}} = select(vec4<f32>(), dy[select(0u, (g - q.out_group0) * q.out_plane + p, ok)], ok);
      }
{{- end}}
      p = p + {{.BP}}u;
{{- if not .Pointwise}}
      ox = ox + q.right;
      oy = oy + q.down;
      n = n + q.images;
      if (ox >= q.out_w) { ox = ox - q.out_w; oy = oy + 1u; }
      if (oy >= q.out_h) { oy = oy - q.out_h; n = n + 1u; }
{{- end}}
    }
{{- end -}}

@compute @workgroup_size({{.WG}})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let group0 = q.out_group0 + wid.y * {{div .BM 4}}u;
  let column = lid % {{.Columns}}u;
  let row = lid / {{.Columns}}u;
{{- range $i := seq .TN}}
  let column{{$i}} = column + {{mul $i $.Columns}}u;
{{- end}}
{{- range $g := seq (div .TM 4)}}
  let row{{$g}} = row * {{div $.TM 4}}u + {{$g}}u;
{{- end}}
  let pixel = lid % {{.BP}}u;
  let line = lid / {{.BP}}u;
  let pairs = q.span * {{mul .K .K}}u;
{{- range $e := seq .Staging}}
  let u{{$e}} = wid.x * {{$.BN}}u + line + {{mul $e $.Lines}}u;
  var px{{$e}} = vec4<f32>();
{{- if $.Pointwise}}
  let plane{{$e}} = u{{$e}} * q.in_plane;
{{- else}}
  let kx{{$e}} = i32(u{{$e}} / q.span % {{$.K}}u);
  let ky{{$e}} = select(-1000000, i32(u{{$e}} / q.span / {{$.K}}u), u{{$e}} < pairs);
  let plane{{$e}} = i32(u{{$e}} % q.span * q.in_plane);
{{- end}}
{{- end}}
{{- range $e := seq .StagingD}}
  var pd{{$e}} = vec4<f32>();
{{- end}}
{{- range $j := seq .TM}}{{range $i := seq $.TN}}
  var a{{$j}}_{{$i}} = {{$.Vector}}();
{{- if $.Chained}}
  var s{{$j}}_{{$i}} = {{$.Vector}}();
{{- end}}
{{- end}}{{end}}
{{- range $j := seq (div .TM 4)}}
  var b{{$j}} = vec4<f32>();
{{- if $.Chained}}
  var t{{$j}} = vec4<f32>();
{{- end}}
{{- end}}
  let with_bias = q.has_bias == 1u && wid.x == 0u && column == 0u;
  let begin = wid.z * q.stretch + q.start;
  let end = min(min(q.out_pixels, (wid.z + 1u) * q.stretch), begin + q.length);
  var p = begin + pixel;
{{- if not .Pointwise}}
  var oy = p / q.out_w;
  var n = oy / q.out_h;
  var ox = p - oy * q.out_w;
  oy = oy - n * q.out_h;
{{- end}}
  var turn = 0u; // of the tiles in workgroup memory
  var p0 = begin; // the step fetched last
{{- template "tiled grad fetch" .}}
  loop {
{{- range $e := seq .Staging}}
    {{if lt $.BN (mul $.Staging $.Lines)}}if (line + {{mul $e $.Lines}}u < {{$.BN}}u) {{end}}{
      xs[turn][pixel][line + {{mul $e $.Lines}}u] = px{{$e}};
    }
{{- end}}
{{- range $e := seq .StagingD}}
    {{if lt (div $.BM 4) (mul $.StagingD $.Lines)}}if (line + {{mul $e $.Lines}}u < {{div $.BM 4}}u) {{end}}{
      ds[turn][pixel][line + {{mul $e $.Lines}}u] = pd{{$e}};
    }
{{- end}}
    workgroupBarrier();
    p0 = p0 + {{.BP}}u;
    if (p0 < end) {
{{- template "tiled grad fetch" .}}
    }
    for (var k0 = 0u; k0 < {{.BP}}u; k0 = k0 + 8u) {
{{- range $k := seq 8}}
      {
        let k = k0 + {{$k}}u;
{{- range $i := seq $.TN}}
        let x{{$i}} = xs[turn][k][column{{$i}}]{{$.Channels}};
{{- end}}
{{- range $g := seq (div $.TM 4)}}
        let d{{$g}} = ds[turn][k][row{{$g}}];
{{- range $c := seq 4}}{{range $i := seq $.TN}}
        a{{add (mul 4 $g) $c}}_{{$i}} = a{{add (mul 4 $g) $c}}_{{$i}} + d{{$g}}.{{comp $c}} * x{{$i}};
{{- end}}{{end}}{{end}}
      }
{{- end}}
    }
    if (with_bias) { // a step at a time, as gradients without a factor add up to more than products
{{- range $g := seq (div .TM 4)}}
      var step{{$g}} = vec4<f32>();
{{- end}}
      for (var k = 0u; k < {{.BP}}u; k = k + 1u) {
{{- range $g := seq (div .TM 4)}}
        step{{$g}} = step{{$g}} + ds[turn][k][row{{$g}}];
{{- end}}
      }
{{- range $g := seq (div .TM 4)}}
      b{{$g}} = b{{$g}} + step{{$g}};
{{- end}}
    }
{{- if .Chained}}
    if ((p0 - begin) % {{mul .BP .Chain}}u == 0u) {
{{- range $j := seq .TM}}{{range $i := seq $.TN}}
      s{{$j}}_{{$i}} = s{{$j}}_{{$i}} + a{{$j}}_{{$i}};
      a{{$j}}_{{$i}} = {{$.Vector}}();
{{- end}}{{end}}
{{- range $g := seq (div .TM 4)}}
      t{{$g}} = t{{$g}} + b{{$g}};
      b{{$g}} = vec4<f32>();
{{- end}}
    }
{{- end}}
    if (p0 >= end) { break; }
{{- if .Double}}
    turn = 1u - turn;
{{- else}}
    workgroupBarrier();
{{- end}}
  }
  let lanes = q.groups * {{mul .K .K}}u;
{{if .Rolled}}
  // One loop for all sums, not unrolled because its bound is a parameter: drivers for CPUs take long over many loads
  // and stores.
  var sums = array<vec4<f32>, {{mul .TM .TN}}>(
{{- range $i := seq .TN}}{{range $j := seq $.TM}}
    vec4<f32>(a{{$j}}_{{$i}}{{if $.Chained}} + s{{$j}}_{{$i}}{{end}}{{$.Zeros}}),
{{- end}}{{end}}
  );
  for (var o = 0u; o < q.sums; o = o + 1u) {
    let u = wid.x * {{.BN}}u + column + o / {{.TM}}u * {{.Columns}}u;
    let m = 4u * group0 + row * {{.TM}}u + o % {{.TM}}u;
    if (u < pairs && m < q.m && m < 4u * q.out_groups) {
      let at = (wid.z * q.m + m) * lanes + u / q.span * q.groups + q.in_group0 + u % q.span;
      part[at] = sums[o] + select(vec4<f32>(), part[at], q.start > 0u);
    }
  }
{{- else}}
{{- range $i := seq .TN}}
  {
    let u = wid.x * {{$.BN}}u + column{{$i}};
    let at0 = wid.z * q.m * lanes + u / q.span * q.groups + q.in_group0 + u % q.span;
{{- range $j := seq $.TM}}
    {
      let m = 4u * group0 + row * {{$.TM}}u + {{$j}}u;
      if (u < pairs && m < q.m && m < 4u * q.out_groups) {
        let at = at0 + m * lanes;
        part[at] = vec4<f32>(a{{$j}}_{{$i}}{{if $.Chained}} + s{{$j}}_{{$i}}{{end}}{{$.Zeros}}) +
          select(vec4<f32>(), part[at], q.start > 0u);
      }
    }
{{- end}}
  }
{{- end}}
{{- end}}
  if (with_bias) {
{{- range $g := seq (div .TM 4)}}
    {
      let g = group0 + row{{$g}};
      if (g < q.out_groups) {
        let at = q.bias0 + wid.z * ((q.m + 3u) / 4u) + g;
        part[at] = b{{$g}}{{if $.Chained}} + t{{$g}}{{end}} + select(vec4<f32>(), part[at], q.start > 0u);
      }
    }
{{- end}}
  }
}
