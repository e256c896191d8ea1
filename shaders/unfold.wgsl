{{- /* Turns an activation for the weight gradient: four neighbouring output columns of one channel to a vec4, shifted
and spread as each kernel column kx of a stretch of them wants them.

u[kx][c][(n·in_h + iy)·columns + t] = x[c][n][iy][(4t+i)·stride + kx - pad], i = 0 … 3, and 0 outside the image or
beyond the output's width. Pointwise convolutions take all pixels of the batch as one row. x lies in the texture as it
does in its buffer, from texel q.first on, as a software driver's fetches are cheaper than its loads; where the stride
is 1 each further kernel column fetches one pixel more. */ -}}
{{uniform "UnfoldParams"}}
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var x: texture_2d<f32>;
@group(0) @binding(2) var<storage, read_write> u: array<vec4<f32>>;

fn pixel(group: u32, row: u32, column: u32, kx: u32) -> vec4<f32> {
  let ix = i32(column) * q.stride + i32(kx) - q.pad;
  let ok = ix >= 0 && ix < i32(q.in_w);
  let at = q.first + group * q.in_plane + row * q.in_w + u32(ix);
  let line = ((at >> q.shift) * q.factor) >> 17u; // at / q.width
  return textureLoad(x, vec2<u32>(at - line * q.width, select(q.zero, line, ok)), 0);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let at = wid.x * 64u + lid.x;
  if (at >= q.rows * q.columns) { return; }
  let row = at / q.columns;
  let t = 4u * (at % q.columns);
  let c = 4u * wid.y;
  let inside = vec4<u32>(t) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(q.out_w);
  var m: mat4x4<f32>;
  for (var k = 0u; k < q.kernels; k = k + 1u) {
    let kx = q.kx + k;
    if (k == 0u || q.stride != 1) {
      m = mat4x4<f32>(pixel(wid.y, row, t, kx), pixel(wid.y, row, t + 1u, kx), pixel(wid.y, row, t + 2u, kx),
        pixel(wid.y, row, t + 3u, kx));
    } else {
      m = mat4x4<f32>(m[1], m[2], m[3], pixel(wid.y, row, t + 3u, kx));
    }
    let to = (k * q.channels + c) * q.pitch + at;
    u[to] = select(vec4<f32>(), vec4<f32>(m[0].x, m[1].x, m[2].x, m[3].x), inside);
    if (c + 1u < q.channels) {
      u[to + q.pitch] = select(vec4<f32>(), vec4<f32>(m[0].y, m[1].y, m[2].y, m[3].y), inside);
    }
    if (c + 2u < q.channels) {
      u[to + 2u * q.pitch] = select(vec4<f32>(), vec4<f32>(m[0].z, m[1].z, m[2].z, m[3].z), inside);
    }
    if (c + 3u < q.channels) {
      u[to + 3u * q.pitch] = select(vec4<f32>(), vec4<f32>(m[0].w, m[1].w, m[2].w, m[3].w), inside);
    }
  }
}
