package ops

import (
	"encoding/binary"
	"fmt"
	"math"

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

// MaxClasses is the largest number of classes whose logits can be judged.
const MaxClasses = 65535

// Check says whether logits of shape x can be judged.
func (CrossEntropy) Check(x Shape) error {
	if x.H != 1 || x.W != 1 || x.C < 2 || x.C > MaxClasses {
		return fmt.Errorf("the loss takes logits of 2 to %d classes with 1×1 pixels, not %v", MaxClasses, x)
	}
	return nil
}

// lanes is how many invocations judge an image of so many channel groups of logits: one where they are few, so that
// images fill a workgroup, and else as many as leave each eight groups, up to a whole workgroup.
func (CrossEntropy) lanes(groups int) int {
	lanes := 1
	for lanes < 64 && ceilDiv(groups, lanes) > 8 {
		lanes *= 2
	}
	return lanes
}

// ClassWeights are weights of the classes, by which a batch's loss is the weighted mean of those of its images, as that
// of PyTorch's nn.CrossEntropyLoss(weight=…): Values holds a float for each class; Step is that of the whole batch,
// with the Balance of its labels. The zero value stands for no weights.
type ClassWeights struct{ Values, Step *gpu.Buffer }

// Balance is the number of entries by the sum of their labels' weights, which turns a sum of weighted
// losses divided by the number of images into the weighted mean. It is 0 where all these weights are.
func Balance(weights []float64, entries []Entry) float64 {
	sum := 0.0
	for _, e := range entries {
		sum += weights[e.Label]
	}
	if sum == 0 {
		return 0
	}
	return float64(len(entries)) / sum
}

// Forward records each image's loss, times Weight, and the place of its label's logit (both floats) into result, and
// the gradient of the mean of these losses into dlogits. labels holds N words. The place is 0 for the largest logit;
// of equal logits that of the first class comes first; a NaN counts as larger, and as the last where it is the label's
// own. Added leaves the place that stands in result.
func (o CrossEntropy) Forward(r *Recorder, logits Tensor, labels *gpu.Buffer, dlogits Tensor, result *gpu.Buffer,
	w ClassWeights) error {
	weighted := w.Values != nil
	k := gpu.Kernel{
		Name: "cross entropy", Source: shaders.Source("loss", map[string]any{"Weighted": weighted}),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Read, gpu.Write, gpu.Write},
	}
	weight := o.Weight
	if weight == 0 {
		weight = 1
	}
	all := span{0, logits.Groups()} // of a buffer that may be larger than one binding
	lanes := o.lanes(logits.Groups())
	params := shaders.LossParams{
		Images: logits.N, Classes: logits.C, Plane: logits.Plane(), Lanes: lanes,
		Smoothing: float32(o.Smoothing), Weight: float32(weight), Added: o.Added, Whole: max(o.Of, logits.N),
	}
	passes := 3 * 4 * ceilDiv(logits.Groups(), lanes)
	resources := []any{logits.slice(all), gpu.All(labels), dlogits.slice(all), gpu.All(result)}
	if weighted {
		k.Name += ", weighted"
		k.Bindings = append(k.Bindings, gpu.Read, gpu.Uniform)
		resources = append(resources, gpu.All(w.Values), gpu.All(w.Step))
	}
	return r.dispatchEach(k, passes, params, lanes*logits.N, resources...)
}

// topPlaces is how many of the largest logits Totals.Top5 looks at.
const topPlaces = 5

// TotalsBytes is the size of the totals on the adapter.
const TotalsBytes = 20

// Totals are the sums that Metrics keeps on the adapter.
type Totals struct {
	Loss    float64 // sum over images
	Correct int     // images whose label has the largest logit
	Images  int
	Top5    int // images whose label has one of the five largest logits
}

// ReadTotals is what the TotalsBytes on the adapter say.
func ReadTotals(raw []byte) Totals {
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(raw[4*i:]) }
	return Totals{
		Loss: float64(math.Float32frombits(word(0))), Correct: int(word(2)), Images: int(word(3)), Top5: int(word(4)),
	}
}

// Metrics adds up the results of N images.
type Metrics struct {
	N     int
	Of    int  // images of the whole batch; 0: N
	Added bool // what is in batch are the sums of the images before
}

// Forward records the sums over the results: into batch (8 bytes) the part that the images have in the mean loss of the
// whole batch, and the number right; and added to total (TotalsBytes).
func (o Metrics) Forward(r *Recorder, result, batch, total *gpu.Buffer) error {
	k := gpu.Kernel{Name: "metrics", Source: shaders.Source("metrics", nil),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write, gpu.Write}}
	params := shaders.MetricsParams{Images: o.N, Whole: max(o.Of, o.N), Added: o.Added, K: topPlaces}
	return r.dispatch(k, ceilDiv(o.N, 64)+64, params, 1, 1, 1, gpu.All(result), gpu.All(batch), gpu.All(total))
}
