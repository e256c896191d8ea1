{{- /* Convolution, straight-line form. Also the input gradient: the same sum over turned, transposed weights.

y[m][p] = bias[m] + Σ over channel c and tap t of w[m][c][t] · x[c][p at t]

A workgroup stages the weights of R output channels for one chunk (CH channels, KY kernel rows) in workgroup memory. An
invocation owns TP neighbouring output pixels of one row, fetches every texel it needs once, and then runs through
R·CH·taps·TP multiply-adds without loop or branch: on a software driver a weight at a literal index of workgroup
memory is then an operand of the multiply and costs nothing, and only there. The stores are in no branch either: what is
out of range writes zero to the padding behind a plane's pixels. The texture holds x in stretches of 16 pixels: a
stretch of every channel group side by side, so that an invocation reads along a row of the texture; see ops/scratch.go.
Texels outside the image are fetched from a row of zeros, so no padded copy exists.

The input gradient of a convolution of stride s is s·s such sums, each over its own taps, every s-th of a row and
column, and for its own pixels of the output, every s-th as well.

Llvmpipe makes a branch for each lane and component of a storage access, and some stages of its compiler take time by
the square of their number. So what need not be straight-line code is not: biases are staged through loops of one load,
and the mask of a ReLU, as a bit for each output, and the sums of the chunks before are read in loops, too.

Weights are staged through such loops of loads, or by fetches, which take a fraction of that, where the texture holds
them as they lie in their buffer. Those of 1×1 kernels come by squares of four channels and four outputs: four texels,
each an output's weights of four channels, which are transposed, or, in an input gradient, a channel's of four outputs.
Others come by runs of taps, a kernel or a row of it, which lie side by side, in an input gradient turned: for each of
four outputs the texels that a run may touch are fetched, and shifted to where it begins. */ -}}
{{uniform "ConvStraightParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var values: texture_2d<f32>; // that holds x, weights, sums and the output of a ReLU
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
{{- if and .Masked (not .MaskFetched)}}
@group(0) @binding(4) var<storage, read> mask: array<vec4<f32>>; // output of a ReLU: y is 0 where it is 0
{{- end}}
{{- range .Arrays}}
var<workgroup> ws{{.Index}}: array<vec4<f32>, {{mul .Rows $.RowGroups}}>; // [channel and tap][output group]
{{- end}}
var<workgroup> bs: array<vec4<f32>, {{.RowGroups}}>; // biases

// The weights or biases of output channels m to m+3, step apart in memory; zeros where there are none.
fn four(m: u32, first: i32, step: i32, exist: bool) -> vec4<f32> {
  var found = vec4<f32>();
  for (var j = 0u; j < q.four; j = j + 1u) { // not 4u: the loop would be unrolled
    let ok = exist && m + j < q.m;
    let value = w[select(0, first + i32(m + j) * step, ok)];
    found = select(found, vec4<f32>(value), vec4<bool>(ok) & (vec4<u32>(0u, 1u, 2u, 3u) == vec4<u32>(j)));
  }
  return found;
}

{{- if or .Accumulate .Fetched .MaskFetched}}

{{template "texel"}}
{{- end}}

// Where pixel p of an output channel group lies; what is not live goes to the padding behind the pixels.
fn place(group: u32, p: u32, live: bool) -> u32 {
  return select(q.out_plane - 1u, (group - q.out_group0) * q.out_plane + p, live);
}

@compute @workgroup_size({{.WG}})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let m0 = q.m0 + wid.y * {{.R}}u;
{{- range $a := .Arrays}}
{{- if and $.Fetched $.Squares}}{{$blocks := div $a.Rows 4}}
  for (var i = lid.x; i < {{mul $blocks $.RowGroups}}u; i = i + {{$.WG}}u) {
    let g = i / {{$blocks}}u;
    let k = 4u * (i % {{$blocks}}u);
    let c = q.c0 + {{$a.From}}u + k;
    let m = m0 + 4u * g;
    let across = q.wm == 1; // a texel has a channel's weights of four outputs, not an output's of four channels
    let first = q.w0 + i32(m) * q.wm + i32(c) * q.wc;
    let ok = m < q.m && c < q.c;
{{- range $j := seq 4}}
    let ok{{$j}} = ok && {{$j}}u < select(q.m - m, q.c - c, across);
    let t{{$j}} = select(vec4<f32>(),
      texel(q.weights + u32(select(0, first + {{$j}} * select(q.wm, q.wc, across), ok{{$j}})) / 4u), ok{{$j}});
{{- end}}
    let square = mat4x4<f32>(t0, t1, t2, t3);
    let turned = transpose(square);
{{- range $j := seq 4}}
    ws{{$a.Index}}[(k + {{$j}}u) * {{$.RowGroups}}u + g] = select(turned[{{$j}}], square[{{$j}}], across);
{{- end}}
  }
{{- else if $.Fetched}}{{$runs := div $a.Rows $.Run}}
  for (var i = lid.x; i < {{mul $runs $.RowGroups}}u; i = i + {{$.WG}}u) {
    let g = i / {{$runs}}u;
    let k = i % {{$runs}}u * {{$.Run}}u;
    let c = q.c0 + ({{$a.From}}u + k) / {{$.Taps}}u;
    let t = q.ky0 * q.k + ({{$a.From}}u + k) % {{$.Taps}}u;
    let first = q.w0 + i32(c) * q.wc + i32(t) * q.wt + min(0, {{sub $.Run 1}} * q.wt);
{{- range $t := seq $.Run}}
    var w{{$t}} = vec4<f32>();
{{- end}}
    for (var j = 0u; j < q.four; j = j + 1u) {
      let m = m0 + 4u * g + j;
      let ok = c < q.c && m < q.m;
      let at = u32(select(0, first + i32(m) * q.wm, ok));
      let own = vec4<bool>(ok) & (vec4<u32>(0u, 1u, 2u, 3u) == vec4<u32>(j));
{{- range $t := seq $.RunTexels}}
      let t{{$t}} = texel(q.weights + at / 4u + {{$t}}u);
{{- end}}
{{- range $t := seq (add $.Run 2)}}
      let a{{$t}} = select({{$.Component $t}}, {{$.Component (add $t 1)}}, (at & 1u) == 1u);
{{- end}}
{{- range $t := seq $.Run}}
      let b{{$t}} = select(a{{$t}}, a{{add $t 2}}, (at & 2u) == 2u);
{{- end}}
{{- range $t := seq $.Run}}
      w{{$t}} = select(w{{$t}}, vec4<f32>(select(b{{$t}}, b{{sub (sub $.Run 1) $t}}, q.wt < 0)), own);
{{- end}}
    }
{{- range $t := seq $.Run}}
    ws{{$a.Index}}[(k + {{$t}}u) * {{$.RowGroups}}u + g] = w{{$t}};
{{- end}}
  }
{{- else}}
  for (var i = lid.x; i < {{mul $a.Rows $.RowGroups}}u; i = i + {{$.WG}}u) {
    let g = i / {{$a.Rows}}u;
    let k = i % {{$a.Rows}}u;
    let c = q.c0 + ({{$a.From}}u + k) / {{$.Taps}}u;
    let t = ({{$a.From}}u + k) % {{$.Taps}}u;
    let ky = q.ky0 + t / {{$.KX}}u * q.step;
    let kx = q.kx0 + t % {{$.KX}}u * q.step;
    ws{{$a.Index}}[k * {{$.RowGroups}}u + g] = four(m0 + 4u * g, q.w0 + i32(c) * q.wc + i32(ky * q.k + kx) * q.wt, q.wm,
      c < q.c && ky < q.k && kx < q.k);
  }
{{- end}}{{end}}
  for (var i = lid.x; i < {{.RowGroups}}u; i = i + {{.WG}}u) {
    bs[i] = four(m0 + 4u * i, i32(q.bias0), 1, q.has_bias == 1u);
  }
  let block = wid.x * {{.WG}}u + lid.x;
{{- if .Pointwise}}
  let p0 = block * {{.TP}}u;
{{- else}}
  let oy = (block / q.row_blocks) % q.out_h;
  let n = block / (q.row_blocks * q.out_h);
  let ox = (block % q.row_blocks) * {{.TP}}u;
  let p0 = q.first + n * q.full_image + (oy * q.full_w + ox) * q.step;
{{- end}}
{{- if .Masked}}{{range $p := seq .TP}}
  var kept{{$p}} = vec4<u32>();
{{- end}}
  for (var r = 0u; r < q.rows; r = r + 1u) {
{{- range $p := seq .TP}}
    let live{{$p}} = block < q.blocks && {{$.PixelInside $p}} && m0 / 4u + r < q.out_groups;
    kept{{$p}} = kept{{$p}} | select(vec4<u32>(), vec4<u32>(1u << r),
      vec4<bool>(live{{$p}}) & !({{if $.MaskFetched -}}
      texel(q.mask + (m0 / 4u + r - q.out_group0) * q.out_plane + {{$.Pixel $p}})
      {{- else}}mask[place(m0 / 4u + r, {{$.Pixel $p}}, live{{$p}})]{{end}} <= vec4<f32>()));
{{- end}}
  }
{{- end}}
{{- if .Accumulate}}{{range $p := seq .TP}}
  var before{{$p}}: array<vec4<f32>, {{$.RowGroups}}>;
{{- end}}
  for (var r = 0u; r < q.earlier; r = r + 1u) { // no pass in the first chunk
{{- range $p := seq .TP}}
    before{{$p}}[r] = texel(q.before + (m0 / 4u + r - q.out_group0) * q.out_plane + {{$.Pixel $p}});
{{- end}}
  }
{{- end}}
  workgroupBarrier();
{{- range $g := seq .Groups}}
  let group{{$g}} = min(q.c0 / 4u + {{$g}}u, q.in_groups - 1u) * 16u;
{{- end}}
{{- if .Pointwise}}{{range $p := seq .TP}}
  let o{{$p}} = min(p0 + {{$p}}u, q.out_pixels - 1u);
  let tx{{$p}} = ((o{{$p}} >> 4u) & q.fold) * q.strip + (o{{$p}} & 15u);
  let ty{{$p}} = (o{{$p}} >> 4u) >> q.fold_shift;
{{- range $g := seq $.Groups}}
  let v{{$g}}_0_{{$p}} = textureLoad(values, vec2<u32>(tx{{$p}} + group{{$g}}, ty{{$p}}), 0);
{{- end}}{{end}}
{{- else}}
  let image = i32(n * q.in_h * q.in_w);
  let left = i32(ox) * q.stride + q.left;
  let top = i32(oy) * q.stride + q.top;
{{- range $i := seq .Texels}}
  let ix{{$i}} = left + {{$i}};
  let okx{{$i}} = ix{{$i}} >= 0 && ix{{$i}} < i32(q.in_w) && block < q.blocks;
{{- end}}
{{- range $ky := seq .KY}}
  let iy{{$ky}} = top + {{$ky}};
  let oky{{$ky}} = iy{{$ky}} >= 0 && iy{{$ky}} < i32(q.in_h);
{{- range $i := seq $.Texels}}
  let ok{{$ky}}_{{$i}} = oky{{$ky}} && okx{{$i}};
  let o{{$ky}}_{{$i}} = u32(image + iy{{$ky}} * i32(q.in_w) + ix{{$i}});
  let tx{{$ky}}_{{$i}} = select(0u, ((o{{$ky}}_{{$i}} >> 4u) & q.fold) * q.strip + (o{{$ky}}_{{$i}} & 15u),
    ok{{$ky}}_{{$i}});
  let ty{{$ky}}_{{$i}} = select(q.zero, (o{{$ky}}_{{$i}} >> 4u) >> q.fold_shift, ok{{$ky}}_{{$i}});
{{- end}}{{end}}
{{- range $g := seq .Groups}}{{range $ky := seq $.KY}}{{range $i := seq $.Texels}}
  let v{{$g}}_{{$ky}}_{{$i}} = textureLoad(values, vec2<u32>(tx{{$ky}}_{{$i}} + group{{$g}}, ty{{$ky}}_{{$i}}), 0);
{{- end}}{{end}}{{end}}
{{- end}}
{{range $b := seq .Blocks}}
{{$.Products $b}}
{{- range $r := $.BlockGroups $b}}{{range $p := seq $.TP}}
  let live{{$r}}_{{$p}} = block < q.blocks && {{$.PixelInside $p}} && m0 / 4u + {{$r}}u < q.out_groups;
  let sum{{$r}}_{{$p}} = {{$.Sum $r $p}}{{if $.Accumulate}} + before{{$p}}[{{$r}}]{{end}} + bs[{{$r}}];
{{- if $.Masked}}
  let keep{{$r}}_{{$p}} = (kept{{$p}} & vec4<u32>(1u << {{$r}}u)) != vec4<u32>();
{{- else}}
  let keep{{$r}}_{{$p}} = vec4<bool>(live{{$r}}_{{$p}});
{{- end}}
  y[place(m0 / 4u + {{$r}}u, {{$.Pixel $p}}, live{{$r}}_{{$p}})] = select(vec4<f32>(),
    select(sum{{$r}}_{{$p}}, sum{{$r}}_{{$p}} * q.slope, sum{{$r}}_{{$p}} < vec4<f32>()), keep{{$r}}_{{$p}});
{{- end}}{{end}}
{{end -}}
}
