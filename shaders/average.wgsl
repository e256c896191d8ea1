// Exponential moving average of values, all at once: average ← average + rate·(value - average).
{{uniform "AverageParams"}}
{{uniform "Step"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> value: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> average: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.y * q.width + id.x;
  if (i >= q.count || id.x >= q.width) { return; }
  let rate = select(step.average_rate, step.statistics_rate, q.statistics == 1u);
  average[i] = average[i] + rate * (value[i] - average[i]);
}
