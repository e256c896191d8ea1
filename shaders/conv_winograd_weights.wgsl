{{- /* Weights for conv_winograd.wgsl: the taps of every kernel row, transformed, in the order in which workgroups stage
them.

u[chunk][block of R output channels][channel, kernel row of the chunk][point][output group] = Σ over kx of
G[point][kx] · w[m][c][ky][kx], then the block's biases, which come with the last chunk. Channels beyond the
last are 0. */ -}}
struct Q {
  m: u32, c: u32, k: u32, chunks: u32,
  blocks: u32, bias0: u32, has_bias: u32, row_chunks: u32,
  w0: i32, wm: i32, wc: i32, wt: i32,
}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> u: array<vec4<f32>>;

fn four(at: i32, step: i32, ok: vec4<bool>) -> vec4<f32> {
  let v = vec4<f32>(w[select(0, at, ok.x)], w[select(0, at + step, ok.y)], w[select(0, at + 2 * step, ok.z)],
    w[select(0, at + 3 * step, ok.w)]);
  return select(vec4<f32>(), v, ok);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let g = id.x % {{.RowGroups}}u;
  let k = id.x / {{.RowGroups}}u; // the last one stands for the biases
  let block = id.y;
  let chunk = id.z;
  if (k > {{mul .CH .KY}}u) { return; }
  let m = block * {{.R}}u + 4u * g;
  let real = vec4<u32>(m, m + 1u, m + 2u, m + 3u) < vec4<u32>(q.m);
  let to = (chunk * q.blocks + block) * {{.StagedVectors}}u + g;
  if (k == {{mul .CH .KY}}u) {
    u[to + {{mul .Row .RowGroups}}u] = four(i32(q.bias0 + m), 1,
      real & vec4<bool>(q.has_bias == 1u && chunk == q.chunks - 1u));
    return;
  }
  let c = chunk / q.row_chunks * {{.CH}}u + k / {{.KY}}u;
  let ky = chunk % q.row_chunks * {{.KY}}u + k % {{.KY}}u;
  let ok = real & vec4<bool>(c < q.c && ky < q.k);
  let at = q.w0 + i32(m) * q.wm + i32(c) * q.wc + i32(ky * {{.K}}u) * q.wt;
{{- range $k := seq .K}}
  let w{{$k}} = four(at + {{$k}} * q.wt, q.wm, ok);
{{- end}}
{{- range $j := seq .Points}}
  u[to + (k * {{$.Points}}u + {{$j}}u) * {{$.RowGroups}}u] = {{$.TapsOf $j}};
{{- end}}
}
