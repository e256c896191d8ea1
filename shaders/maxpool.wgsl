{{- /* Max pooling and its gradient. Padding counts as minus infinity; the first maximum in row-major order gets the
gradient, so its place in the window (0 to K²-1) is kept, 16 bits a channel. After a ReLU, a maximum of 0 has no place:
its gradient is that of the ReLU, 0. What is read is bound as a buffer or, Fetched, lies in a texture: see add.wgsl. The
loops' bound comes at run time, so that no compiler unrolls them: see reduce.wgsl. */ -}}
{{- /* Of both poolings; Places: the window's maximum alone gets the gradient. */}}
{{define "pool gradient"}}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  // A block of 2×2 pixels, which share most of the windows that hold them. It begins where windows of stride 2 do.
  let b = wid.x * 64u + lid.x;
  if (b >= q.invocations) { return; }
  let ix = 2 * (i32(b) % q.columns) - q.pad % 2;
  let iy = 2 * ((i32(b) / q.columns) % q.rows) - q.pad % 2;
  let n = i32(b) / (q.columns * q.rows);
{{- range $i := seq 2}}{{range $j := seq 2}}
  var sum{{$i}}{{$j}} = vec4<f32>();
{{- end}}{{end}}
  // The windows: from the one whose last row or column is the block's first to the one whose first is its last.
  let first_y = max(0, (iy + q.pad - q.k + q.stride) / q.stride);
  let first_x = max(0, (ix + q.pad - q.k + q.stride) / q.stride);
  let last_y = min(q.out_h - 1, (iy + 1 + q.pad) / q.stride);
  let last_x = min(q.out_w - 1, (ix + 1 + q.pad) / q.stride);
  for (var oy = first_y; oy <= last_y; oy = oy + 1) {
    for (var ox = first_x; ox <= last_x; ox = ox + 1) {
      let o = wid.y * q.plane + u32((n * q.out_h + oy) * q.out_w + ox);
      let ky = iy + q.pad - oy * q.stride;
      let kx = ix + q.pad - ox * q.stride;
      let v = value(o);
{{- if .Places}}
      let at = place[o];
      let places = vec4<u32>(at.x & 65535u, at.x >> 16u, at.y & 65535u, at.y >> 16u);
{{- end}}
{{- range $i := seq 2}}{{range $j := seq 2}}
      let in{{$i}}{{$j}} = ky + {{$i}} >= 0 && ky + {{$i}} < q.k && kx + {{$j}} >= 0 && kx + {{$j}} < q.k;
      sum{{$i}}{{$j}} = sum{{$i}}{{$j}} + select(vec4<f32>(), v, vec4<bool>(in{{$i}}{{$j}})
        {{- if $.Places}} & (places == vec4<u32>(u32((ky + {{$i}}) * q.k + kx + {{$j}}))){{end}});
{{- end}}{{end}}
    }
  }
  let to = i32(wid.y * q.in_plane) + (n * q.in_h + iy) * q.in_w + ix;
{{- range $i := seq 2}}{{range $j := seq 2}}
  if (iy + {{$i}} >= 0 && iy + {{$i}} < q.in_h && ix + {{$j}} >= 0 && ix + {{$j}} < q.in_w) {
    dx[to + {{$i}} * q.in_w + {{$j}}] = sum{{$i}}{{$j}}{{if not $.Places}} / f32(q.k * q.k){{end}};
  }
{{- end}}{{end}}
}
{{- end}}

{{uniform "PoolParams"}}
@group(0) @binding(0) var<uniform> q: Q;
{{if .Grad -}}
@group(0) @binding(1) var<storage, read_write> dx: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> place: array<vec2<u32>>;
// The gradient of the pooled image.
@group(0) @binding(3) {{template "x" .}}

{{template "pool gradient" .}}
{{- else -}}
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> place: array<vec2<u32>>;
@group(0) @binding(3) {{template "x" .}}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let p = wid.x * 64u + lid.x;
  if (p >= q.invocations) { return; }
  let left = (i32(p) % q.out_w) * q.stride - q.pad;
  let top = ((i32(p) / q.out_w) % q.out_h) * q.stride - q.pad;
  let image = i32(p) / (q.out_w * q.out_h) * q.in_h * q.in_w;
  var best = vec4<f32>();
  var places = vec4<u32>();
  var found = false;
  for (var ky = 0; ky < q.k; ky = ky + 1) {
    for (var kx = 0; kx < q.k; kx = kx + 1) {
      let iy = top + ky;
      let ix = left + kx;
      if (iy >= 0 && iy < q.in_h && ix >= 0 && ix < q.in_w) {
        let v = value(wid.y * q.in_plane + u32(image + iy * q.in_w + ix));
        // NaN wins, as in PyTorch. Its bits tell it: v != v is false on some drivers.
        let nan = (bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
        let better = (v > best) | vec4<bool>(!found) | nan;
        best = select(best, v, better);
        places = select(places, vec4<u32>(u32(ky * q.k + kx)), better);
        found = true;
      }
    }
  }
{{- if .AfterReLU}}
  places = select(places, vec4<u32>(65535u), best <= vec4<f32>());
{{- end}}
  let o = wid.y * q.plane + p;
  y[o] = best;
  place[o] = vec2<u32>(places.x | (places.y << 16u), places.z | (places.w << 16u));
}
{{- end}}
