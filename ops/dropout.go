package ops

import (
	"ninvk/gpu"
	"ninvk/shaders"
)

// Dropout zeroes elements with probability P and scales the others by 1/(1-P). Layer tells the dropouts of a network
// apart: with the step's key and the element's NCHW index in the batch it decides what is kept, so nothing is stored
// between the passes.
type Dropout struct {
	P     float64 `json:"p"`
	Layer uint32  `json:"-"`
}

// Apply records the dropout of v in place: forward on an activation, backward on its gradient. step has the key, and
// the number of v's first image in the batch.
func (o Dropout) Apply(r *Recorder, step *gpu.Buffer, v Tensor) error {
	k := gpu.Kernel{Name: "dropout", Source: shaders.Source("dropout", nil), Bindings: []gpu.Kind{gpu.Params, gpu.Uniform,
		gpu.Write}}
	each := eachOf(pixelsEach, v.Pixels())
	for _, s := range v.spans(r.Dev.Limits(), 1) {
		params := shaders.DropoutParams{
			Pixels: v.Pixels(), Plane: v.Plane(), HW: v.H * v.W, Channels: v.C, Group0: s.from, Layer: int(o.Layer),
			Threshold: int(o.P * (1 << 24)), Scale: float32(1 / (1 - o.P)), Each: each,
		}
		if err := r.dispatch(k, each, params, ceilDiv(v.Pixels(), 128*each), s.to-s.from, 1, gpu.All(step),
			v.slice(s)); err != nil {
			return err
		}
	}
	return nil
}
