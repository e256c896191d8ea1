// Sums the results of loss.wgsl in order: total loss and number right of the batch, into the step's slot and added to
// the running totals of the epoch or split. Totals: loss sum (as a float and the part that rounding left over), number
// right, images, number whose label is among the k largest logits.
{{uniform "MetricsParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> result: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> batch: array<f32>;  // mean loss, number right
@group(0) @binding(3) var<storage, read_write> total: array<u32>;

// An identity that compilers can't see through: some take (a + b) - a for b, which would undo the compensated sum.
fn rounded(v: f32) -> f32 { return bitcast<f32>(bitcast<u32>(v) ^ q.zero); }

var<workgroup> part: array<vec3<f32>, 64>; // loss, right, among the k largest

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_id) lid: vec3<u32>) {
  var s = vec3<f32>();
  for (var i = lid.x; i < q.images; i = i + 64u) {
    let r = result[i];
    s = s + vec3<f32>(r.x, select(0.0, 1.0, r.y < 1.0), select(0.0, 1.0, r.y < q.k));
  }
  part[lid.x] = s;
  workgroupBarrier();
  if (lid.x != 0u) { return; }
  for (var i = 1u; i < 64u; i = i + 1u) { s = s + part[i]; }
  let before = select(vec2<f32>(), vec2<f32>(batch[0], batch[1]), q.added == 1u);
  batch[0] = before.x + s.x / f32(q.whole);
  batch[1] = before.y + s.y;
  // Kahan's compensated sum: an epoch has thousands of batches.
  let old = bitcast<f32>(total[0]);
  let add = rounded(s.x) - bitcast<f32>(total[1]);
  let sum = rounded(old + add);
  total[0] = bitcast<u32>(sum);
  total[1] = bitcast<u32>(rounded(sum - old) - add);
  total[2] = total[2] + u32(s.y);
  total[3] = total[3] + q.images;
  total[4] = total[4] + u32(s.z);
}
