{{- /* Convolution for GPUs: implicit GEMM with tiles in workgroup memory. Also the input gradient: the same sum over turned, transposed weights.

y[m][p] = bias[m] + Σ over channel c and tap t of w[m][c][t] · x[c][p at t]

A workgroup computes BM output channels × BN pixels of the whole batch. It walks over the pairs u of channel group and tap (taps fastest, so that
neighbouring steps fetch neighbouring pixels), GC pairs a step: the pixels' vectors of four channels and the weights, transposed into vectors of four output
channels, go to workgroup memory, then each invocation adds up TM channels × TN pixels in registers. Its pixels lie BN/TN apart, so that
neighbouring invocations read and write neighbouring vectors. Products are added up in chains of Chain steps, and the chains' sums apart: rounding errors
grow with the length of a chain. Bias, ReLU and mask are applied as the sums are stored.

The structure is that of ggml's conv2d_mm.comp, with vectors along the channels instead of unfolded scalars. */ -}}
struct Q {
  out_pixels: u32, out_plane: u32, out_w: u32, out_h: u32,
  out_group0: u32, out_groups: u32, m: u32, pairs: u32,
  in_plane: u32, in_w: u32, in_h: u32, c: u32,
  c0: u32, accumulate: u32, bias0: u32, has_bias: u32,
  w0: i32, wm: i32, wc: i32, wt: i32,
  slope: f32, stride: i32, pad: i32, dilate: i32,
  sums: u32, masked: u32,
}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> mask: array<vec4<f32>>;
var<workgroup> xs: array<vec4<f32>, {{mul .GC .BN}}>;
var<workgroup> ws: array<vec4<f32>, {{mul (mul 4 .GC) .Row}}>;

fn weight(m: u32, at: i32, ok: bool) -> f32 {
{{- if .Aligned}}
  return w[q.w0 + i32(m) * q.wm + at];
{{- else}}
  let there = ok && m < q.m;
  return select(0.0, w[select(0, q.w0 + i32(m) * q.wm + at, there)], there);
{{- end}}
}

fn bias(m: u32) -> f32 {
  let there = q.has_bias == 1u && m < q.m;
  return select(0.0, w[select(0u, q.bias0 + m, there)], there);
}

@compute @workgroup_size({{.WG}})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let pixel0 = wid.x * {{.BN}}u;
  let group0 = q.out_group0 + wid.y * {{div .BM 4}}u;
  let column = lid % {{.Columns}}u;
  let row = lid / {{.Columns}}u;
{{- range $i := seq .Fetched}}
  let p{{$i}} = pixel0 + (lid + {{mul $i $.WG}}u) % {{$.BN}}u;
{{- if not $.Pointwise}}
  let left{{$i}} = i32(p{{$i}} % q.out_w) * q.stride - q.pad;
  let top{{$i}} = select(-1000000, i32(p{{$i}} / q.out_w % q.out_h) * q.stride - q.pad, p{{$i}} < q.out_pixels);
  let image{{$i}} = i32(p{{$i}} / (q.out_w * q.out_h) * q.in_w * q.in_h);
{{- end}}
{{- end}}
{{- range $i := seq .TN}}{{range $j := seq (div $.TM 4)}}
  var a{{$i}}_{{$j}} = vec4<f32>();
  var s{{$i}}_{{$j}} = vec4<f32>();
{{- end}}{{end}}
  for (var u0 = 0u; u0 < q.pairs; u0 = u0 + {{.GC}}u) {
{{- range $e := seq .Staging}}
    {
      let u = u0 + (lid + {{mul $e $.WG}}u) / {{$.BN}}u;
{{- $i := mod $e $.Fetched}}
{{- if $.Pointwise}}
      let ok = u < q.pairs && p{{$i}} < q.out_pixels;
      xs[lid + {{mul $e $.WG}}u] = select(vec4<f32>(), x[select(0u, u * q.in_plane + p{{$i}}, ok)], ok);
{{- else}}
      let t = i32(u % {{$.Taps}}u);
{{- if $.Dilated}}
      let ty = top{{$i}} + t / {{$.K}};
      let tx = left{{$i}} + t % {{$.K}};
      let iy = ty / q.dilate;
      let ix = tx / q.dilate;
      let ok = u < q.pairs && ty >= 0 && tx >= 0 && ty % q.dilate == 0 && tx % q.dilate == 0 && iy < i32(q.in_h) && ix < i32(q.in_w);
{{- else}}
      let iy = top{{$i}} + t / {{$.K}};
      let ix = left{{$i}} + t % {{$.K}};
      let ok = u < q.pairs && iy >= 0 && ix >= 0 && iy < i32(q.in_h) && ix < i32(q.in_w);
{{- end}}
      let at = i32(u / {{$.Taps}}u * q.in_plane) + image{{$i}} + iy * i32(q.in_w) + ix;
      xs[lid + {{mul $e $.WG}}u] = select(vec4<f32>(), x[select(0, at, ok)], ok);
{{- end}}
    }
{{- end}}
{{- range $e := seq .StagingW}}
    {{if lt $.Weights (mul $.StagingW $.WG)}}if (lid + {{mul $e $.WG}}u < {{$.Weights}}u) {{end}}{
      let i = lid + {{mul $e $.WG}}u;
{{- if $.Turned}}
      let k = i / {{div $.BM 4}}u;
      let g = i % {{div $.BM 4}}u;
{{- else}}
      let k = i % {{mul 4 $.GC}}u;
      let g = i / {{mul 4 $.GC}}u;
{{- end}}
      let u = u0 + k / 4u;
      let c = q.c0 + u / {{$.Taps}}u * 4u + k % 4u;
      let ok = {{if $.Aligned}}true{{else}}u < q.pairs && c < q.c{{end}};
      let m = 4u * (group0 + g);
      let at = i32(c) * q.wc + i32(u % {{$.Taps}}u) * q.wt;
      ws[k * {{$.Row}}u + g] = vec4<f32>(weight(m, at, ok), weight(m + 1u, at, ok), weight(m + 2u, at, ok), weight(m + 3u, at, ok));
    }
{{- end}}
    workgroupBarrier();
    for (var k = 0u; k < {{.GC}}u; k = k + 1u) {
{{- range $i := seq .TN}}
      let x{{$i}} = xs[k * {{$.BN}}u + column + {{mul $i $.Columns}}u];
{{- end}}
{{- range $c := seq 4}}{{range $j := seq (div $.TM 4)}}
      let w{{$c}}_{{$j}} = ws[(4u * k + {{$c}}u) * {{$.Row}}u + row * {{div $.TM 4}}u + {{$j}}u];
{{- end}}{{range $i := seq $.TN}}{{range $j := seq (div $.TM 4)}}
      a{{$i}}_{{$j}} = a{{$i}}_{{$j}} + w{{$c}}_{{$j}} * x{{$i}}.{{comp $c}};
{{- end}}{{end}}{{end}}
    }
    if (u0 % {{mul .GC .Chain}}u == {{mul .GC (add .Chain -1)}}u) {
{{- range $i := seq .TN}}{{range $j := seq (div $.TM 4)}}
      s{{$i}}_{{$j}} = s{{$i}}_{{$j}} + a{{$i}}_{{$j}};
      a{{$i}}_{{$j}} = vec4<f32>();
{{- end}}{{end}}
    }
    workgroupBarrier();
  }

  // One loop for all sums, not unrolled because its bound is a parameter: drivers for CPUs take long over many loads and stores.
  var sums = array<vec4<f32>, {{div (mul .TM .TN) 4}}>(
{{- range $j := seq (div .TM 4)}}{{range $i := seq $.TN}}
    s{{$i}}_{{$j}} + a{{$i}}_{{$j}},
{{- end}}{{end}}
  );
  for (var o = 0u; o < q.sums; o = o + 1u) {
    let g = group0 + row * {{div .TM 4}}u + o / {{.TN}}u;
    let p = pixel0 + column + o % {{.TN}}u * {{.Columns}}u;
    if (g < q.out_groups && p < q.out_pixels) {
      let m = 4u * g;
      let at = (g - q.out_group0) * q.out_plane + p;
      var sum = sums[o] + vec4<f32>(bias(m), bias(m + 1u), bias(m + 2u), bias(m + 3u));
      if (q.accumulate == 1u) { sum = sum + y[at]; }
      sum = select(sum, sum * q.slope, sum < vec4<f32>());
      if (q.masked == 1u) { sum = select(sum, vec4<f32>(), mask[at] <= vec4<f32>()); }
      y[at] = sum;
    }
  }
}
