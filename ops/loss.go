package ops

import (
	"fmt"

	"ninvk/gpu"
	"ninvk/shaders"
)

// CrossEntropy is the softmax cross entropy of logits [N][classes], the mean over the batch, with label smoothing
// (1-s)·CE + s·mean over classes as in PyTorch.
type CrossEntropy struct {
	Smoothing float64
	Weight    float64 // of the loss in that of a network with several heads; 0 stands for 1
	Of        int     // images of the whole batch, over which the gradient's mean is taken; 0: those of the logits
	Added     bool    // the loss is added to what the heads before have left in result
}

// Check says whether logits of shape x can be judged.
func (CrossEntropy) Check(x Shape) error {
	if x.H != 1 || x.W != 1 || x.C < 2 || x.C > MaxPasses/4 {
		return fmt.Errorf("the loss takes logits of 2 to %d classes with 1×1 pixels, not %v", MaxPasses/4, x)
	}
	return nil
}

// Forward records each image's loss, times Weight, and whether its largest logit is the label's into result (8 bytes an
// image), and the gradient of the mean of these losses into dlogits. labels holds N words. Added leaves what result
// says of the largest logit.
func (o CrossEntropy) Forward(r *Recorder, logits Tensor, labels *gpu.Buffer, dlogits Tensor, result *gpu.Buffer) error {
	k := gpu.Kernel{Name: "cross entropy", Source: shaders.Source("loss", nil), Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Read, gpu.Write, gpu.Write}}
	weight := o.Weight
	if weight == 0 {
		weight = 1
	}
	all := span{0, logits.Groups()} // of a buffer that may be larger than one binding
	params := []uint32{
		uint32(logits.N), uint32(logits.C), uint32(logits.Plane()), bits(float32(o.Smoothing)),
		bits(float32(weight)), flag(o.Added), uint32(max(o.Of, logits.N)),
	}
	return r.dispatch(k, 4*logits.C, params,
		ceilDiv(logits.N, 64), 1, 1, logits.slice(all), gpu.All(labels), dlogits.slice(all), gpu.All(result))
}

// Totals are the sums that Metrics keeps on the adapter.
type Totals struct {
	Loss    float64 // sum over images
	Correct int
	Images  int
}

// Metrics adds up the results of N images.
type Metrics struct {
	N     int
	Of    int  // images of the whole batch; 0: N
	Added bool // what is in batch are the sums of the images before
}

// Forward records the sums over the results: into batch (8 bytes) the part that the images have in the mean loss of the whole
// batch, and the number right; and added to total (16 bytes).
func (o Metrics) Forward(r *Recorder, result, batch, total *gpu.Buffer) error {
	k := gpu.Kernel{Name: "metrics", Source: shaders.Source("metrics", nil), Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write, gpu.Write}}
	params := []uint32{uint32(o.N), 0, uint32(max(o.Of, o.N)), flag(o.Added)}
	return r.dispatch(k, ceilDiv(o.N, 64)+64, params, 1, 1, 1, gpu.All(result), gpu.All(batch), gpu.All(total))
}
