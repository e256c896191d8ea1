{{- /* Second passes and the application of batch normalisation (Ioffe and Szegedy, 2015),
y = (x - mean)·invstd·weight + bias.

norm holds four vec4s a channel group: mean, invstd = 1/√(variance + eps), scale = invstd·weight, shift = bias.
Mode "statistics": from the moments of the batch (biased variance), and the running ones with the unbiased variance.
Mode "running": from the running statistics (evaluation).  Mode "apply": x to y, which InPlace takes the place of x.
Mode "grad-sums": dweight = Σ dy·x̂, dbias = Σ dy, where they have a place, and their means into norm2.
Mode "grad-apply": in place on dy, dx = scale·(dy - mean(dy) - x̂·mean(dy·x̂)).
Mode "grad-running": in place on dy, dx = scale·dy, which is what the running statistics make of it.
Fused, "apply" and "grad-apply" do what "statistics" and "grad-sums" do themselves, each workgroup for its own channels;
the first one of these writes it.

The slope of ReLU's negative half comes at run time, although it is 0: else drivers make one maximum of comparison and
choice, which hides NaN. What is read is bound as buffers or, Fetched, lies in a texture: see reduce.wgsl. The bound of
the loops over pixels comes at run time, so that no compiler unrolls them, and they run along memory: see reduce.wgsl.
*/ -}}
{{define "main of a group"}}@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let g = 4u * (q.group0 + wid.y);
  let mean = norm[g];
  let scale = norm[g + 2u];
  let shift = norm[g + 3u];{{end -}}
{{define "main of sums"}}var<workgroup> sums: array<vec4<f32>, 256>; // of each invocation, two
var<workgroup> slices: array<vec4<f32>, 32>; // of eight invocations each

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let g = q.group0 + wid.y;
  var a = vec4<f32>();
  var b = vec4<f32>();
  for (var i = lid.x; i < q.stretches; i = i + 128u) {
    a = a + part[2u * (g * q.stretches + i)];
    b = b + part[2u * (g * q.stretches + i) + 1u];
  }
  sums[2u * lid.x] = a;
  sums[2u * lid.x + 1u] = b;
  workgroupBarrier();
  if (lid.x < 32u) {
    var slice = vec4<f32>();
    for (var i = 0u; i < 8u; i = i + 1u) { slice = slice + sums[16u * (lid.x / 2u) + 2u * i + lid.x % 2u]; }
    slices[lid.x] = slice;
  }
  workgroupBarrier();
  a = vec4<f32>();
  b = vec4<f32>();
  for (var i = 0u; i < 16u; i = i + 1u) {
    a = a + slices[2u * i];
    b = b + slices[2u * i + 1u];
  }{{end -}}
{{define "apply"}}{{template "each value"}}
      let v = (value(i) - mean) * scale + shift;
      y[i] = {{if .ReLU}}select(v, v * q.slope, v < vec4<f32>()){{else}}v{{end}};
    }
  }{{end -}}
{{define "gradient of x"}}{{template "each value"}}
      let d = value(i) - mean;
      let v = {{template "masked gradient" .}};
      dy[i] = scale * (v - a - (d * inv) * b);
    }
  }{{end -}}
{{define "statistics"}}let n = f32(q.pixels);
  var mean = first + a / n;
  let variance = max(vec4<f32>(), (b - a * (a / n)) / n);
  var inv = 1.0 / sqrt(variance + vec4<f32>(q.eps));
  {{template "weight and bias"}}{{end -}}
{{define "weight and bias"}}var weight = vec4<f32>();
  var bias = vec4<f32>();
  for (var j = 0u; j < 4u; j = j + 1u) {
    let c = 4u * g + j;
    if (c < q.channels) {
      weight[j] = params[q.weight + c];
      bias[j] = params[q.bias + c];
    }
  }{{end -}}
{{define "running statistics"}}{{template "weight and bias"}}
  var mean = vec4<f32>();
  var inv = vec4<f32>();
  {{template "take running"}}{{end -}}
{{define "take running"}}for (var j = 0u; j < 4u; j = j + 1u) {
    let c = 4u * g + j;
    if (c < q.channels) {
      mean[j] = state[q.mean + c];
      inv[j] = 1.0 / sqrt(state[q.variance + c] + q.eps);
    }
  }{{end -}}
{{define "keep norm"}}norm[4u * g] = mean;
  norm[4u * g + 1u] = inv;
  norm[4u * g + 2u] = inv * weight;
  norm[4u * g + 3u] = bias;{{end -}}
{{define "keep statistics"}}{{template "move running"}}
  {{template "keep norm"}}{{end -}}
{{define "move running"}}for (var j = 0u; j < 4u; j = j + 1u) {
    let c = 4u * g + j;
    if (c < q.channels) {
      state[q.mean + c] = mix(state[q.mean + c], mean[j], q.momentum);
      state[q.variance + c] = mix(state[q.variance + c], variance[j] * (n / max(1.0, n - 1.0)), q.momentum);
    }
  }{{end -}}
{{define "keep gradients"}}let nowhere = 0xffffffffu;
  for (var j = 0u; j < 4u; j = j + 1u) {
    let c = 4u * g + j;
    if (c < q.channels) {
      if (q.bias != nowhere) { grads[q.bias + c] = a[j]; }
      if (q.weight != nowhere) { grads[q.weight + c] = b[j]; }
    }
  }{{end -}}
{{define "each value"}}for (var u = 0u; u < q.each; u = u + 1u) {
    let p = ((wid.x * 8u + lid.x / 16u) * q.each + u) * 16u + lid.x % 16u;
    if (p < q.pixels) {
      let i = wid.y * q.plane + p;{{end -}}
{{define "sums of stretches"}}var a = vec4<f32>();
  var b = vec4<f32>();
  for (var i0 = 0u; i0 < q.stretches; i0 = i0 + 8u) { // in short chains: the error grows with their length
    var some_a = vec4<f32>();
    var some_b = vec4<f32>();
    for (var i = i0; i < min(i0 + 8u, q.stretches); i = i + 1u) {
      some_a = some_a + part[2u * (g * q.stretches + i)];
      some_b = some_b + part[2u * (g * q.stretches + i) + 1u];
    }
    a = a + some_a;
    b = b + some_b;
  }{{end -}}
{{uniform "BatchNormParams"}}
@group(0) @binding(0) var<uniform> q: Q;
{{if eq .Mode "statistics" -}}
@group(0) @binding(1) var<storage, read> part: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> params: array<f32>;
@group(0) @binding(4) var<storage, read_write> state: array<f32>;
@group(0) @binding(5) var<storage, read_write> norm: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let g = q.group0 + id.x;
  if (id.x >= q.groups) { return; }
  {{template "sums of stretches"}}
  let first = x[id.x * q.plane];
  {{template "statistics"}}
  {{template "keep statistics"}}
}
{{- else if eq .Mode "running" -}}
@group(0) @binding(1) var<storage, read> params: array<f32>;
@group(0) @binding(2) var<storage, read> state: array<f32>;
@group(0) @binding(3) var<storage, read_write> norm: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let g = id.x;
  if (4u * g >= q.channels) { return; }
  {{template "running statistics"}}
  {{template "keep norm"}}
}
{{- else if and (eq .Mode "apply") .Fused -}}
@group(0) @binding(1) var<storage, read> part: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> params: array<f32>;
@group(0) @binding(3) var<storage, read_write> state: array<f32>;
@group(0) @binding(4) var<storage, read_write> norm: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(6) {{template "x" .}}

{{template "main of sums"}}
  let first = value(wid.y * q.plane);
  {{template "statistics"}}
  if (wid.x == 0u && lid.x == 0u) {
    {{template "keep statistics"}}
  }
  let scale = inv * weight;
  let shift = bias;
  {{template "apply" .}}
}
{{- else if eq .Mode "apply" -}}
@group(0) @binding(1) var<storage, read> norm: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
{{- if .InPlace}}

fn value(i: u32) -> vec4<f32> { return y[i]; }
{{- else}}
@group(0) @binding(3) {{template "x" .}}
{{- end}}

{{template "main of a group"}}
  {{template "apply" .}}
}
{{- else if eq .Mode "grad-sums" -}}
@group(0) @binding(1) var<storage, read> part: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> grads: array<f32>;
@group(0) @binding(3) var<storage, read_write> norm2: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let g = id.x;
  if (4u * g >= q.channels) { return; }
  {{template "sums of stretches"}}
  {{template "keep gradients"}}
  norm2[2u * g] = a / f32(q.pixels);
  norm2[2u * g + 1u] = b / f32(q.pixels);
}
{{- else if eq .Mode "grad-running" -}}
@group(0) @binding(1) var<storage, read> norm: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dy: array<vec4<f32>>;
{{- if or .ReLU .Fetched}}
@group(0) @binding(3) {{template "x" .}}
{{- end}}

{{template "main of a group"}}
  {{template "each value"}}
{{- if .ReLU}}
      let d = value(i) - mean;
      dy[i] = scale * {{template "masked gradient" .}};
{{- else}}
      dy[i] = scale * {{if .Fetched}}value(i){{else}}dy[i]{{end}};
{{- end}}
    }
  }
}
{{- else if .Fused -}}
@group(0) @binding(1) var<storage, read> part: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> norm: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> grads: array<f32>;
@group(0) @binding(4) var<storage, read_write> dy: array<vec4<f32>>;
@group(0) @binding(5) {{template "x" .}}

{{template "main of sums"}}
  if (wid.x == 0u && lid.x == 0u) {
    {{template "keep gradients"}}
  }
  a = a / f32(q.pixels);
  b = b / f32(q.pixels);
  let mean = norm[4u * g];
  let inv = norm[4u * g + 1u];
  let scale = norm[4u * g + 2u];
  let shift = norm[4u * g + 3u];
  {{template "gradient of x" .}}
}
{{- else -}}
@group(0) @binding(1) var<storage, read> norm: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> norm2: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dy: array<vec4<f32>>;
@group(0) @binding(4) {{template "x" .}}

{{template "main of a group"}}
  let inv = norm[g + 1u];
  let a = norm2[g / 2u];
  let b = norm2[g / 2u + 1u];
  {{template "gradient of x" .}}
}
{{- end}}
