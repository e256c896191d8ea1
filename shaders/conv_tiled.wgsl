{{- /* Convolution for GPUs: implicit GEMM with tiles in workgroup memory. Also the input gradient: the same sum over
turned, transposed weights.

y[m][p] = bias[m] + Σ over channel c and tap t of w[m][c][t] · x[c][p at t]

A workgroup computes BM output channels × BN pixels of the whole batch. It walks over the pairs u of channel group and
tap, GC pairs a step (taps fastest, so that neighbouring steps fetch neighbouring pixels; where groups fill the steps,
all pairs of one have the same tap): the pixels' vectors of four channels and the weights, transposed into vectors of
four output channels, go to workgroup memory, then each invocation adds up TM channels × TN pixels in registers. While
it does, what the next step needs is on its way from memory. Its pixels lie BN/TN apart, so that neighbouring
invocations read and write neighbouring vectors. Products are added up in chains of Chain steps, and the chains' sums
apart: rounding errors grow with the length of a chain. Bias, ReLU and mask are applied as the sums are stored. Where
there are fewer than four input channels in all, no products are made for those that lack.

Where Split, wid.z counts stretches of the pairs, whose sums conv_tiled_sum.wgsl adds up; where Points, it counts the
points of Winograd's form, which have a matrix of weights and planes of the input each (conv_winograd_*.wgsl).

The tiles are arrays of arrays, so that the bounds that are put on every index are of single rows and columns, and don't
stand in the way of the loop. The structure is that of ggml's conv2d_mm.comp and of CUTLASS's SIMT kernels. */ -}}
{{define "finish" -}}
fn bias(m: u32) -> f32 {
  let there = q.has_bias == 1u && m < q.m;
  return select(0.0, w[select(0u, q.bias0 + m, there)], there);
}

fn biases(g: u32) -> vec4<f32> {
  return vec4<f32>(bias(4u * g), bias(4u * g + 1u), bias(4u * g + 2u), bias(4u * g + 3u));
}

// finished is a whole sum as it becomes the output at a place: by ReLU, and 0 where the mask is.
fn finished(sum: vec4<f32>, at: u32) -> vec4<f32> {
  var value = select(sum, sum * q.slope, sum < vec4<f32>());
  if (q.masked == 1u) { value = select(value, vec4<f32>(), mask[at] <= vec4<f32>()); }
  return value;
}
{{- end -}}
{{uniform "ConvTiledParams"}}
@group(0) @binding(0) var<uniform> q: Q;
{{- range $i, $name := .Bound}}
@group(0) @binding({{add $i 1}}) var<storage, {{if eq $name "y"}}read_write{{else}}read{{end}}> {{$name}}: array<
  {{- if eq $name "w"}}f32{{else}}vec4<f32>{{end}}>;
{{- end}}
var<workgroup> xs: array<array<array<vec4<f32>, {{.Columns}}>, {{.TN}}>, {{.GC}}>;
var<workgroup> ws: array<array<vec4<f32>, {{.Row}}>, {{.Lines}}>;
{{- if not .Ordered}}

fn weight(m: u32, at: i32, ok: bool) -> f32 {
{{- if .Aligned}}
  return w[q.w0 + i32(m) * q.wm + at];
{{- else}}
  let there = ok && m < q.m;
  return select(0.0, w[select(0, q.w0 + i32(m) * q.wm + at, there)], there);
{{- end}}
}
{{- end}}
{{- if .Partial}}

// put stores the sum of output channels 4g to 4g+3 at pixel p that is part of the whole.
fn put(part: u32, g: u32, p: u32, sum: vec4<f32>) {
  if (g < q.out_groups && p < q.out_pixels) {
    y[((q.part0 + part) * (q.out_groups - q.out_group0) + g - q.out_group0) * q.out_plane + p] = sum;
  }
}
{{- else}}

{{template "finish"}}

// put finishes the sum of output channels 4g to 4g+3 at pixel p.
fn put(g: u32, p: u32, all: vec4<f32>) {
  if (g < q.out_groups && p < q.out_pixels) {
    let at = (g - q.out_group0) * q.out_plane + p;
    var sum = all;
    if (q.accumulate == 1u) { sum = sum + y[at]; }
    y[at] = finished(sum, at);
  }
}
{{- end}}

{{define "tiled fetch"}}
    {
{{- if .Whole}}{{range $i := seq .Fetched}}
{{- if $.Dilated}}
      let ty{{$i}} = top{{$i}} + ky;
      let tx{{$i}} = left{{$i}} + kx;
      let iy{{$i}} = ty{{$i}} / q.dilate;
      let ix{{$i}} = tx{{$i}} / q.dilate;
      let ok{{$i}} = ty{{$i}} >= 0 && tx{{$i}} >= 0 && ty{{$i}} % q.dilate == 0 && tx{{$i}} % q.dilate == 0 &&
        iy{{$i}} < i32(q.in_h) && ix{{$i}} < i32(q.in_w);
{{- else}}
      let iy{{$i}} = top{{$i}} + ky;
      let ix{{$i}} = left{{$i}} + kx;
      let ok{{$i}} = u32(iy{{$i}}) < q.in_h && u32(ix{{$i}}) < q.in_w;
{{- end}}
      let at{{$i}} = select(0u, group * q.in_plane + u32(image{{$i}} + iy{{$i}} * i32(q.in_w) + ix{{$i}}), ok{{$i}});
{{- end}}{{range $e := seq .Staging}}
      px{{$e}} = select(vec4<f32>(), x[at{{mod $e $.Fetched}} + k{{$e}} * q.in_plane], ok{{mod $e $.Fetched}});
{{- end}}
{{- else}}{{range $e := seq .Staging}}
      {
        let u = u0 + k{{$e}};
{{- $i := mod $e $.Fetched}}
{{- if $.Pointwise}}
        let ok = u < end && p{{$i}} < q.out_pixels;
        let g = {{if $.Points}}wid.z * q.in_groups + u{{else}}u{{end}};
        px{{$e}} = select(vec4<f32>(), x[select(0u, g * q.in_plane + p{{$i}}, ok)], ok);
{{- else}}
        let t = i32(u % {{$.Taps}}u);
{{- if $.Dilated}}
        let ty = top{{$i}} + t / {{$.K}};
        let tx = left{{$i}} + t % {{$.K}};
        let iy = ty / q.dilate;
        let ix = tx / q.dilate;
        let ok = u < end && ty >= 0 && tx >= 0 && ty % q.dilate == 0 && tx % q.dilate == 0 && iy < i32(q.in_h) &&
          ix < i32(q.in_w);
{{- else}}
        let iy = top{{$i}} + t / {{$.K}};
        let ix = left{{$i}} + t % {{$.K}};
        let ok = u < end && u32(iy) < q.in_h && u32(ix) < q.in_w;
{{- end}}
        let at = i32(u / {{$.Taps}}u * q.in_plane) + image{{$i}} + iy * i32(q.in_w) + ix;
        px{{$e}} = select(vec4<f32>(), x[select(0, at, ok)], ok);
{{- end}}
      }
{{- end}}{{end}}
{{- range $e := seq .StagingW}}
      {{if lt $.Weights (mul $.StagingW $.WG)}}if (lid + {{mul $e $.WG}}u < {{$.Weights}}u) {{end}}{
        let i = lid + {{mul $e $.WG}}u;
{{- if $.Points}}
        let k = i / {{div $.BM 4}}u;
        let u = u0 + k / {{$.Channels}}u;
        let g = group0 + i % {{div $.BM 4}}u;
        let ok = u < end && g < q.rows;
        let line = (wid.z * q.in_groups + u) * 4u + k % {{$.Channels}}u;
        pw{{$e}} = select(vec4<f32>(), ordered[select(0u, line * q.rows + g, ok)], ok);
{{- else if $.Ordered}}
        let k = i / {{div $.BM 4}}u;
        let g = group0 + i % {{div $.BM 4}}u;
        let ok = g < q.rows;
        pw{{$e}} = select(vec4<f32>(), ordered[select(0u, ((tap * q.in_groups + q.c0 / 4u + group) * 4u + k) * q.rows +
          g, ok)], ok);
{{- else}}
{{- if $.Turned}}
        let k = i / {{div $.BM 4}}u;
        let g = i % {{div $.BM 4}}u;
{{- else}}
        let k = i % {{$.Lines}}u;
        let g = i / {{$.Lines}}u;
{{- end}}
{{- if $.Whole}}
        let c = q.c0 + 4u * group + k;
        let ok = {{if $.Aligned}}true{{else}}c < q.c{{end}};
        let at = i32(c) * q.wc + i32(tap) * q.wt;
{{- else}}
        let u = u0 + k / {{$.Channels}}u;
        let c = q.c0 + u / {{$.Taps}}u * 4u + k % {{$.Channels}}u;
        let ok = {{if $.Aligned}}true{{else}}u < end && c < q.c{{end}};
        let at = i32(c) * q.wc + i32(u % {{$.Taps}}u) * q.wt;
{{- end}}
        let m = 4u * (group0 + g);
        pw{{$e}} = vec4<f32>(weight(m, at, ok), weight(m + 1u, at, ok), weight(m + 2u, at, ok), weight(m + 3u, at, ok));
{{- end}}
      }
{{- end}}
{{- if .Whole}}
      tap = tap + 1u;
      kx = kx + 1;
      if (kx == {{.K}}) { kx = 0; ky = ky + 1; }
      if (tap == {{.Taps}}u) { tap = 0u; ky = 0; group = group + {{.GC}}u; }
{{- end}}
    }
{{- end -}}

@compute @workgroup_size({{.WG}})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let pixel0 = wid.x * {{.BN}}u;
  let group0 = q.out_group0 + wid.y * {{div .BM 4}}u;
  let begin = {{if .Split}}wid.z * q.stretch{{else}}0u{{end}};
  let end = {{if .Split}}min(q.pairs, begin + q.stretch){{else}}q.pairs{{end}};
{{- if .Square}}
  // 32 invocations side by side take 8 columns × 4 rows, which fetches the fewest different vectors.
  let column = lid % 8u + lid / 32u % {{div .Columns 8}}u * 8u;
  let row = lid / 8u % 4u + lid / {{mul 4 .Columns}}u * 4u;
{{- else}}
  let column = lid % {{.Columns}}u;
  let row = lid / {{.Columns}}u;
{{- end}}
{{- range $j := seq (div .TM 4)}}
  let row{{$j}} = row * {{div $.TM 4}}u + {{$j}}u;
{{- end}}
  // What this invocation brings to workgroup memory.
{{- range $e := seq .Staging}}
  let k{{$e}} = (lid + {{mul $e $.WG}}u) / {{$.BN}}u;
  var px{{$e}} = vec4<f32>();
{{- end}}
{{- range $e := seq .StagingW}}
  var pw{{$e}} = vec4<f32>();
{{- end}}
{{- range $i := seq .Fetched}}
  let c{{$i}} = (lid + {{mul $i $.WG}}u) % {{$.BN}}u;
  let p{{$i}} = pixel0 + c{{$i}};
{{- if not $.Pointwise}}
  let left{{$i}} = i32(p{{$i}} % q.out_w) * q.stride - q.pad;
  let top{{$i}} = select(-1000000, i32(p{{$i}} / q.out_w % q.out_h) * q.stride - q.pad, p{{$i}} < q.out_pixels);
  let image{{$i}} = i32(p{{$i}} / (q.out_w * q.out_h) * q.in_w * q.in_h);
{{- end}}
{{- end}}
{{- range $i := seq .TN}}{{range $j := seq (div $.TM 4)}}
  var a{{$i}}_{{$j}} = vec4<f32>();
{{- if $.Chained}}
  var s{{$i}}_{{$j}} = vec4<f32>();
{{- end}}
{{- end}}{{end}}
{{- if .Whole}}
  var group = begin / {{mul .GC .Taps}}u * {{.GC}}u;
  var tap = begin / {{.GC}}u % {{.Taps}}u;
  var kx = i32(tap) % {{.K}};
  var ky = i32(tap) / {{.K}};
{{- end}}
  var u0 = begin; // the step fetched last
{{- template "tiled fetch" .}}
  loop {
{{- range $e := seq .Staging}}{{$i := mod $e $.Fetched}}
    xs[k{{$e}}][c{{$i}} / {{$.Columns}}u][c{{$i}} % {{$.Columns}}u] = px{{$e}};
{{- end}}
{{- range $e := seq .StagingW}}
    {{if lt $.Weights (mul $.StagingW $.WG)}}if (lid + {{mul $e $.WG}}u < {{$.Weights}}u) {{end}}{
      let i = lid + {{mul $e $.WG}}u;
{{- if or $.Turned $.Ordered}}
      ws[i / {{div $.BM 4}}u][i % {{div $.BM 4}}u] = pw{{$e}};
{{- else}}
      ws[i % {{$.Lines}}u][i / {{$.Lines}}u] = pw{{$e}};
{{- end}}
    }
{{- end}}
    workgroupBarrier();
    u0 = u0 + {{.GC}}u;
    if (u0 < end) {
{{- template "tiled fetch" .}}
    }
    for (var k = 0u; k < {{.GC}}u; k = k + 1u) {
{{- range $i := seq .TN}}
      let x{{$i}} = xs[k][{{$i}}][column];
{{- end}}
{{- range $c := seq .Channels}}
{{- range $j := seq (div $.TM 4)}}
      let w{{$c}}_{{$j}} = ws[{{$.Channels}}u * k + {{$c}}u][row{{$j}}];
{{- end}}{{range $i := seq $.TN}}{{range $j := seq (div $.TM 4)}}
      a{{$i}}_{{$j}} = a{{$i}}_{{$j}} + w{{$c}}_{{$j}} * x{{$i}}.{{comp $c}};
{{- end}}{{end}}{{end}}
    }
{{- if .Chained}}
    if (u0 % {{mul .GC .Chain}}u == 0u) {
{{- range $i := seq .TN}}{{range $j := seq (div $.TM 4)}}
      s{{$i}}_{{$j}} = s{{$i}}_{{$j}} + a{{$i}}_{{$j}};
      a{{$i}}_{{$j}} = vec4<f32>();
{{- end}}{{end}}
    }
{{- end}}
    if (u0 >= end) { break; }
    workgroupBarrier();
  }

{{if .Rolled}}
  // One loop for all sums, not unrolled because its bound is a parameter: drivers for CPUs take long over many loads
  // and stores. On GPUs the array would leave the registers.
  var sums = array<vec4<f32>, {{div (mul .TM .TN) 4}}>(
{{- range $j := seq (div .TM 4)}}{{range $i := seq $.TN}}
    a{{$i}}_{{$j}}{{if $.Chained}} + s{{$i}}_{{$j}}{{end}},
{{- end}}{{end}}
  );
  for (var o = 0u; o < q.sums; o = o + 1u) {
    let g = group0 + row * {{div .TM 4}}u + o / {{.TN}}u;
{{- if .Partial}}
    put(wid.z, g, pixel0 + column + o % {{.TN}}u * {{.Columns}}u, sums[o]);
{{- else}}
    put(g, pixel0 + column + o % {{.TN}}u * {{.Columns}}u, sums[o] + biases(g));
{{- end}}
  }
{{- else}}
{{- range $j := seq (div .TM 4)}}
  let g{{$j}} = group0 + row{{$j}};
{{- if not $.Partial}}
  let bias{{$j}} = biases(g{{$j}});
{{- end}}
{{- range $i := seq $.TN}}
  put({{if $.Partial}}wid.z, {{end}}g{{$j}}, pixel0 + column + {{mul $i $.Columns}}u, a{{$i}}_{{$j}}
{{- if $.Chained}} + s{{$i}}_{{$j}}{{end}}{{if not $.Partial}} + bias{{$j}}{{end}});
{{- end}}
{{- end}}
{{- end}}
}
