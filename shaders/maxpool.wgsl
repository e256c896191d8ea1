{{- /* Max pooling and its gradient. Padding counts as minus infinity; the first maximum in row-major order gets the gradient, so its place in the window (0 to K²-1)
is kept, 16 bits a channel. */ -}}
struct Q { pixels: u32, plane: u32, in_plane: u32, in_h: i32, in_w: i32, out_h: i32, out_w: i32 }
@group(0) @binding(0) var<uniform> q: Q;
{{if .Grad -}}
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> place: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let p = wid.x * 64u + lid.x;
  if (p >= q.pixels) { return; }
  let ix = i32(p) % q.in_w;
  let iy = (i32(p) / q.in_w) % q.in_h;
  let n = i32(p) / (q.in_w * q.in_h);
  var sum = vec4<f32>();
  // The windows that contain this pixel: from the one whose last row or column it is to the one whose first it is.
  let first_y = max(0, (iy + {{.Pad}} - {{.K}} + {{.Stride}}) / {{.Stride}});
  let first_x = max(0, (ix + {{.Pad}} - {{.K}} + {{.Stride}}) / {{.Stride}});
  let last_y = min(q.out_h - 1, (iy + {{.Pad}}) / {{.Stride}});
  let last_x = min(q.out_w - 1, (ix + {{.Pad}}) / {{.Stride}});
  for (var oy = first_y; oy <= last_y; oy = oy + 1) {
    for (var ox = first_x; ox <= last_x; ox = ox + 1) {
      let o = wid.y * q.plane + u32((n * q.out_h + oy) * q.out_w + ox);
      let here = u32((iy + {{.Pad}} - oy * {{.Stride}}) * {{.K}} + ix + {{.Pad}} - ox * {{.Stride}});
      let at = place[o];
      let places = vec4<u32>(at.x & 65535u, at.x >> 16u, at.y & 65535u, at.y >> 16u);
      sum = sum + select(vec4<f32>(), dy[o], places == vec4<u32>(here));
    }
  }
  dx[wid.y * q.in_plane + p] = sum;
}
{{- else -}}
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> place: array<vec2<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let p = wid.x * 64u + lid.x;
  if (p >= q.pixels) { return; }
  let left = (i32(p) % q.out_w) * {{.Stride}} - {{.Pad}};
  let top = ((i32(p) / q.out_w) % q.out_h) * {{.Stride}} - {{.Pad}};
  let image = i32(p) / (q.out_w * q.out_h) * q.in_h * q.in_w;
  var best = vec4<f32>();
  var places = vec4<u32>();
  var found = false;
  for (var ky = 0; ky < {{.K}}; ky = ky + 1) {
    for (var kx = 0; kx < {{.K}}; kx = kx + 1) {
      let iy = top + ky;
      let ix = left + kx;
      if (iy >= 0 && iy < q.in_h && ix >= 0 && ix < q.in_w) {
        let v = x[wid.y * q.in_plane + u32(image + iy * q.in_w + ix)];
        // NaN wins, as in PyTorch. Its bits tell it: v != v is false on some drivers.
        let nan = (bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
        let better = (v > best) | vec4<bool>(!found) | nan;
        best = select(best, v, better);
        places = select(places, vec4<u32>(u32(ky * {{.K}} + kx)), better);
        found = true;
      }
    }
  }
  let o = wid.y * q.plane + p;
  y[o] = best;
  place[o] = vec2<u32>(places.x | (places.y << 16u), places.z | (places.w << 16u));
}
{{- end}}
