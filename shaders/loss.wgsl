// Softmax cross entropy with label smoothing s, (1-s)·CE + s·mean over classes, one invocation an image: the image's
// loss, whether the largest logit (the first of equals) is the label's, and the gradient of the batch's mean loss. Loss
// and gradient are those of one head of a network: they have a weight, and the loss may be added to that of the heads
// before.
// whole: images of the batch
struct Q { images: u32, classes: u32, plane: u32, smoothing: f32, weight: f32, added: u32, whole: u32 }
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> logits: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> dlogits: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> result: array<vec2<f32>>; // loss, 1 where right

fn logit(n: u32, c: u32) -> f32 { return logits[(c / 4u) * q.plane + n][c % 4u]; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let n = id.x;
  if (n >= q.images) { return; }
  let label = labels[n];
  var top = logit(n, 0u);
  var best = 0u;
  for (var c = 1u; c < q.classes; c = c + 1u) {
    let v = logit(n, c);
    if (v > top) { top = v; best = c; }
  }
  var sum = 0.0;
  var all = 0.0;
  for (var c = 0u; c < q.classes; c = c + 1u) {
    let v = logit(n, c) - top;
    sum = sum + exp(v);
    all = all + v;
  }
  let classes = f32(q.classes);
  let lse = log(sum);
  let own = logit(n, label) - top;
  let loss = q.weight * (lse - (1.0 - q.smoothing) * own - q.smoothing * (all / classes));
  let before = result[n];
  let own_result = vec2<f32>(loss, select(0.0, 1.0, best == label));
  result[n] = select(own_result, vec2<f32>(before.x + loss, before.y), q.added == 1u);
  for (var g = 0u; g < (q.classes + 3u) / 4u; g = g + 1u) {
    var d = vec4<f32>();
    for (var j = 0u; j < 4u; j = j + 1u) {
      let c = 4u * g + j;
      if (c < q.classes) {
        let p = exp(logit(n, c) - top) / sum;
        let target_p = select(0.0, 1.0 - q.smoothing, c == label) + q.smoothing / classes;
        d[j] = q.weight * ((p - target_p) / f32(q.whole));
      }
    }
    dlogits[g * q.plane + n] = d;
  }
}
