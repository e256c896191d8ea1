// Turns an activation for the weight gradient: four neighbouring output columns of one channel to a vec4, shifted and
// spread as kernel column kx wants them.
//
// u[c][(n·in_h + iy)·columns + t] = x[c][n][iy][(4t+i)·stride + kx - pad], i = 0 … 3, and 0 outside the image or
// beyond the output's width. Pointwise convolutions take all pixels of the batch as one row. x and u are bound from the
// first channel group on that is wanted.
{{uniform "UnfoldParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> u: array<vec4<f32>>;

fn pixel(group: u32, row: u32, column: u32) -> vec4<f32> {
  let ix = i32(column) * q.stride + i32(q.kx) - q.pad;
  let ok = ix >= 0 && ix < i32(q.in_w) && column < q.out_w;
  return select(vec4<f32>(), x[select(0u, group * q.in_plane + row * q.in_w + u32(ix), ok)], ok);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let at = wid.x * 64u + lid.x;
  if (at >= q.rows * q.columns) { return; }
  let row = at / q.columns;
  let t = 4u * (at % q.columns);
  let m = mat4x4<f32>(pixel(wid.y, row, t), pixel(wid.y, row, t + 1u), pixel(wid.y, row, t + 2u),
    pixel(wid.y, row, t + 3u));
  let c = 4u * wid.y;
  let to = c * q.pitch + at;
  u[to] = vec4<f32>(m[0].x, m[1].x, m[2].x, m[3].x);
  if (c + 1u < q.channels) { u[to + q.pitch] = vec4<f32>(m[0].y, m[1].y, m[2].y, m[3].y); }
  if (c + 2u < q.channels) { u[to + 2u * q.pitch] = vec4<f32>(m[0].z, m[1].z, m[2].z, m[3].z); }
  if (c + 3u < q.channels) { u[to + 3u * q.pitch] = vec4<f32>(m[0].w, m[1].w, m[2].w, m[3].w); }
}
