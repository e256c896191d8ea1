package ops

import (
	"fmt"

	"ninvk/gpu"
	"ninvk/shaders"
)

// Pairs makes one answer of two views of each image, as an image and its mirror image: the mean of their logits.
type Pairs struct{}

// Forward records the mean of v [N][C][1][1] in place, N being even: image i and image i+N/2 both get the mean of the
// two.
func (Pairs) Forward(r *Recorder, v Tensor) error {
	if v.N%2 != 0 || v.H != 1 || v.W != 1 {
		return fmt.Errorf("pairs are made of an even number of images with 1×1 pixels, not of %v", v.Shape)
	}
	k := gpu.Kernel{Name: "pairs", Source: shaders.Source("pairs", nil), Bindings: []gpu.Kind{gpu.Params, gpu.Write}}
	for _, s := range v.spans(r.Dev.Limits(), 1) {
		params := shaders.PairsParams{Half: v.N / 2, Plane: v.Plane()}
		if err := r.dispatch(k, 0, params, ceilDiv(v.N/2, 64), s.to-s.from, 1, v.slice(s)); err != nil {
			return err
		}
	}
	return nil
}
