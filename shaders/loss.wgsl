{{- /* Softmax cross entropy with label smoothing s, (1-s)·CE + s·mean over classes: an image's loss, the place of the
label's logit among all of the image in descending order (of equal ones the first class comes first; a NaN counts as
larger, and as the last where it is the label's own), and the gradient of the batch's mean loss. Loss and gradient are
those of one head of a network: they have a weight, and the loss may be added to that of the heads before.

An image has lanes invocations, a power of two up to 64; each takes every lanes-th channel group. What they find is put
together in a fixed order.

Weighted, each class has a weight, and the batch's loss is the weighted mean: the images' losses, and so the gradient,
are multiplied by the step's balance, the images of the batch by the sum of the weights of their labels' classes. */ -}}
{{uniform "LossParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> logits: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> dlogits: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> result: array<vec2<f32>>; // loss, place from 0
{{- if .Weighted}}
{{uniform "Step"}}
@group(0) @binding(5) var<storage, read> class_weight: array<f32>;
@group(0) @binding(6) var<uniform> step: Step;
{{- end}}

var<workgroup> part: array<vec2<f32>, 64>;

// The image's largest of the first values and the sum of the second ones.
fn largest_and_sum(at: u32, lane: u32, own: vec2<f32>) -> vec2<f32> {
  part[at] = own;
  for (var s = q.lanes / 2u; s > 0u; s = s / 2u) {
    workgroupBarrier();
    if (lane < s) {
      let a = part[at];
      let b = part[at + s];
      part[at] = vec2<f32>(select(a.x, b.x, b.x > a.x), a.y + b.y);
    }
  }
  workgroupBarrier();
  return part[at - lane];
}

// The sums of both.
fn sums(at: u32, lane: u32, own: vec2<f32>) -> vec2<f32> {
  workgroupBarrier(); // all have read what stood there
  part[at] = own;
  for (var s = q.lanes / 2u; s > 0u; s = s / 2u) {
    workgroupBarrier();
    if (lane < s) { part[at] = part[at] + part[at + s]; }
  }
  workgroupBarrier();
  return part[at - lane];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let lane = lid.x % q.lanes;
  let image = (wid.y * 65535u + wid.x) * (64u / q.lanes) + lid.x / q.lanes;
  let n = min(image, q.images - 1u); // all come to the barriers
  let groups = (q.classes + 3u) / 4u;
  let label = labels[n];
  let own = logits[(label / 4u) * q.plane + n][label % 4u];
  var top = logits[lane * q.plane + n].x;
  var place = 0.0;
  for (var g = lane; g < groups; g = g + q.lanes) {
    let v = logits[g * q.plane + n];
    for (var j = 0u; j < 4u; j = j + 1u) {
      let c = 4u * g + j;
      if (c < q.classes) {
        if (v[j] > top) { top = v[j]; }
        let behind = v[j] < own || (v[j] == own && c >= label);
        place = place + select(1.0, 0.0, behind);
      }
    }
  }
  let first = largest_and_sum(lid.x, lane, vec2<f32>(top, place));
  top = first.x;
  var sum = vec2<f32>(); // of exp(logit - top), and of logit - top{{if .Weighted}} times the class's weight
  var weights = 0.0;{{end}}
  for (var g = lane; g < groups; g = g + q.lanes) {
    let v = logits[g * q.plane + n] - top;
    for (var j = 0u; j < 4u; j = j + 1u) {
{{- if .Weighted}}
      if (4u * g + j < q.classes) {
        let w = class_weight[4u * g + j];
        sum = sum + vec2<f32>(exp(v[j]), w * v[j]);
        weights = weights + w;
      }
{{- else}}
      if (4u * g + j < q.classes) { sum = sum + vec2<f32>(exp(v[j]), v[j]); }
{{- end}}
    }
  }
  sum = sums(lid.x, lane, sum);
{{- if .Weighted}}
  weights = sums(lid.x, lane, vec2<f32>(weights, 0.0)).x;
{{- end}}
  if (image >= q.images) { return; }
  let classes = f32(q.classes);
{{- if .Weighted}}
  // What of the targets falls to the label, and to each class for its weight.
  let to_label = step.balance * (1.0 - q.smoothing) * class_weight[label];
  let to_each = step.balance * q.smoothing / classes;
{{- end}}
  if (lane == 0u) {
{{- if .Weighted}}
    let loss = q.weight * (to_label * (log(sum.x) - (own - top)) + to_each * (weights * log(sum.x) - sum.y));
{{- else}}
    let loss = q.weight * (log(sum.x) - (1.0 - q.smoothing) * (own - top) - q.smoothing * (sum.y / classes));
{{- end}}
    let before = result[n];
    result[n] = select(vec2<f32>(loss, first.y), vec2<f32>(before.x + loss, before.y), q.added == 1u);
  }
  for (var g = lane; g < groups; g = g + q.lanes) {
    let v = logits[g * q.plane + n];
    var d = vec4<f32>();
    for (var j = 0u; j < 4u; j = j + 1u) {
      let c = 4u * g + j;
      if (c < q.classes) {
        let p = exp(v[j] - top) / sum.x;
{{- if .Weighted}}
        let target_p = select(0.0, to_label, c == label) + to_each * class_weight[c];
        d[j] = q.weight * ((p * (to_label + to_each * weights) - target_p) / f32(q.whole));
{{- else}}
        let target_p = select(0.0, 1.0 - q.smoothing, c == label) + q.smoothing / classes;
        d[j] = q.weight * ((p - target_p) / f32(q.whole));
{{- end}}
      }
    }
    dlogits[g * q.plane + n] = d;
  }
}
