package ops

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"ninvk/gpu"
)

// Pass is a pass of an operator that can be recorded in several ways, as it is written in NINVK_VARIANT and in tables
// of tuned choices.
type Pass string

const (
	ConvForward    Pass = "conv/forward"
	ConvInputGrad  Pass = "conv/input-gradient"
	ConvWeightGrad Pass = "conv/weight-gradient"

	LinearForward    Pass = "linear/forward"
	LinearInputGrad  Pass = "linear/input-gradient"
	LinearWeightGrad Pass = "linear/weight-gradient"

	NormForward Pass = "norm/forward"  // of a batch normalisation
	NormGrad    Pass = "norm/gradient" // of its input and its parameters, in training
)

// ConvCall is one pass of a convolution. Its shapes are always set; buffers only where it is recorded.
//
// In has the shape of the convolution's input, Out that of its output:
//   - forward: In is x, Out is y = relu(conv(x) + bias), which is written;
//   - input gradient: Out is dy (masked), In is dx, which is written;
//   - weight gradient: In is x, Out is dy (masked); the gradients of Weight and, where its length isn't 0, Bias are
//     written to Recorder.Grads.
type ConvCall struct {
	Conv
	In, Out      Tensor
	Weight, Bias Param
	// of an input gradient: the output of the ReLU before, of the shape of In, or nil; dx is 0 where it is 0
	Mask *Tensor
}

// LinearCall is one pass of a linear layer, as ConvCall is one of a convolution: In has the shape of its input, Out
// that of its output.
type LinearCall struct {
	Linear
	In, Out      Tensor
	Weight, Bias Param
	Accumulate   bool // of an input gradient: dx is added to what In holds
}

// NormCall is one pass of a batch normalisation: In is x, Out is y, or dy, in whose place dx comes.
type NormCall struct {
	BatchNorm
	In, Out Tensor
	Params  BatchNormParams
	By      Statistics // of a forward pass
}

// call is one pass of an operator that has variants: ConvCall, LinearCall or NormCall.
type call[C any] interface {
	Key(Pass) string
	planned(*Recorder) C // with the network's largest batch
	masks() bool         // only variants that can mask will do
}

// Varied is an operator whose passes have variants: Conv or Linear.
type Varied interface {
	Out(x Shape) (Shape, error)
	Flops(x Shape) float64
	Key(p Pass, x Shape) string // of one pass in tables of choices
	Passes() (forward, inputGrad, weightGrad Pass)
}

// Variant is one way to record a pass: its kernels with their tiles and the memory that they take.
type Variant[C call[C]] struct {
	Name   string
	Fits   func(l gpu.Limits, c C) error // why it can't record the call on an adapter of these limits; nil for any
	Need   func(l gpu.Limits, c C) Need  // memory for the call, and for the same call with a smaller batch; nil for none
	Record func(r *Recorder, c C) error
	Masks  bool // of an input gradient: it honours ConvCall.Mask
}

// ways are the variants of an operator's passes.
type ways[C call[C]] map[Pass][]Variant[C]

func (w ways[C]) names(p Pass) []string {
	var names []string
	for _, v := range w[p] {
		names = append(names, v.Name)
	}
	return names
}

// Need is memory that a pass takes from the recorder while it runs; all passes share it.
type Need struct {
	Scratch  Extent // of the scratch texture
	Unfolded uint64 // bytes of what it puts in order, see Recorder.Unfolded
	Partial  uint64 // bytes of partial sums
}

// Max is what two passes that share memory need.
func (n Need) Max(o Need) Need {
	return Need{n.Scratch.Max(o.Scratch), max(n.Unfolded, o.Unfolded), max(n.Partial, o.Partial)}
}

// convVariants, linearVariants and normVariants are the ways to record each pass. Whoever adds one adds a line here:
// the table of cases then runs it through the whole suite.
var convVariants = ways[ConvCall]{
	ConvForward: {
		{Name: "straight", Fits: straightFits, Need: straightNeed, Record: straightForward},
		tiledForward("tiled", convTiles),
		winograd(byTiles, forwardGemm),
		winograd(byStraight, forwardGemm),
		tiledSplit(forwardGemm),
		tiledForward("tiled-8x8", convTiles8),
		convLinear(LinearForward),
		{Name: "naive", Fits: naiveForwardFits, Record: naiveForward},
	},
	ConvInputGrad: {
		{Name: "straight", Fits: straightFits, Need: straightNeed, Record: straightInputGrad, Masks: true},
		tiledInputGrad("tiled", convTiles),
		winograd(byTiles, inputGradGemm),
		winograd(byStraight, inputGradGemm),
		tiledSplit(inputGradGemm),
		tiledInputGrad("tiled-8x8", convTiles8),
		convLinear(LinearInputGrad),
		{Name: "naive", Fits: naiveInputGradFits, Record: naiveInputGrad},
	},
	ConvWeightGrad: {
		{Name: "straight", Fits: straightWeightFits, Need: straightWeightNeed, Record: straightWeightGrad},
		tiledWeightGrad("tiled", convGradTiled),
		tiledWeightGrad("tiled-wide", convGradWide),
		tiledWeightGrad("tiled-short", convGradShort),
		tiledWeightGrad("tiled-8x8", convGradTiled8),
		convLinear(LinearWeightGrad),
		{Name: "naive", Fits: naiveWeightFits, Need: naiveWeightNeed, Record: naiveWeightGrad},
	},
}

var linearVariants = ways[LinearCall]{
	LinearForward: {
		linearProduct("straight", straightLinearFits, straightLinearNeed, LinearCall.forward, straightLinear),
		linearProduct("tiled", tiledLinearFits, tiledLinearNeed, LinearCall.forward, tiledLinear),
		{Name: "naive", Fits: naiveLinearFits, Record: naiveLinear},
	},
	LinearInputGrad: {
		linearProduct("straight", straightLinearFits, straightLinearNeed, LinearCall.inputGrad, straightLinearInputGrad),
		linearProduct("tiled", tiledLinearFits, tiledLinearNeed, LinearCall.inputGrad, tiledLinearInputGrad),
		{Name: "naive", Fits: naiveLinearFits, Record: naiveLinearInputGrad},
	},
	LinearWeightGrad: {
		{Name: "straight", Fits: straightLinearFits, Need: straightLinearGradNeed, Record: straightLinearWeightGrad},
		{Name: "tiled", Fits: tiledLinearFits, Need: tiledLinearGradNeed, Record: tiledLinearWeightGrad},
		{Name: "naive", Fits: naiveLinearFits, Record: naiveLinearWeightGrad},
	},
}

var normVariants = ways[NormCall]{
	NormForward: {
		{Name: "apart", Record: normForward},
		{Name: "fused", Fits: fusedNormFits, Record: fusedNormForward},
		{Name: "whole", Fits: wholeNormFits, Record: wholeNormForward},
	},
	NormGrad: {
		{Name: "apart", Record: normGrad},
		{Name: "fused", Fits: fusedNormFits, Record: fusedNormGrad},
		{Name: "whole", Fits: wholeNormFits, Record: wholeNormGrad},
	},
}

// linearProduct is a variant of a pass that is a product as matrix has it, on which its memory depends.
func linearProduct(
	name string, fits func(gpu.Limits, LinearCall) error, need func(gpu.Limits, matrix) Need,
	product func(LinearCall) matrix, record func(*Recorder, LinearCall) error,
) Variant[LinearCall] {
	return Variant[LinearCall]{
		Name: name, Fits: fits, Need: func(l gpu.Limits, c LinearCall) Need { return need(l, product(c)) }, Record: record,
	}
}

// passes lists all that have variants.
func passes() []Pass {
	all := slices.Concat(slices.Collect(maps.Keys(convVariants)), slices.Collect(maps.Keys(linearVariants)),
		slices.Collect(maps.Keys(normVariants)))
	slices.Sort(all)
	return all
}

// Preferred are the names that the heuristic tries in order; what none of them fits goes to the first variant that
// does. The straight kernels are made for llvmpipe: other compilers take gigabytes for their unrolled code, and
// software drivers gain by few barriers, while a GPU waits for each dispatch.
func Preferred(a gpu.Adapter) []string {
	switch {
	case a.Llvmpipe():
		return []string{"linear-straight", "straight", "whole"}
	case a.CPU():
		return []string{"tiled-8x8", "tiled", "naive"}
	}
	return []string{"tiled", "naive", "fused"}
}

// Variants lists the names of all variants of a pass.
func Variants(p Pass) []string {
	return slices.Concat(convVariants.names(p), linearVariants.names(p), normVariants.names(p))
}

// VariantEnv is the environment variable that forces variants, as conv/forward=tiled,conv/weight-gradient=naive.
const VariantEnv = "NINVK_VARIANT"

// VariantError says what is wrong with a value of NINVK_VARIANT.
type VariantError struct{ Item, Problem string }

func (e *VariantError) Error() string {
	return fmt.Sprintf("%s: %q: %s", VariantEnv, e.Item, e.Problem)
}

// Choice says which variant records a call: the forced one where it fits, else the tuned one where it is known and
// fits, else the heuristic's.
type Choice struct {
	Forced map[Pass]string
	Tuned  map[string]string // by the calls' keys
}

// ForcedVariants reads NINVK_VARIANT. Names that it doesn't know are an error that lists those known.
func ForcedVariants() (map[Pass]string, error) { return parseVariants(os.Getenv(VariantEnv)) }

func parseVariants(s string) (map[Pass]string, error) {
	forced := map[Pass]string{}
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		pass, name, _ := strings.Cut(item, "=")
		known := Variants(Pass(pass))
		if known == nil {
			return nil, &VariantError{item, "no pass of this name; write PASS=VARIANT, the passes are " + list(passes())}
		}
		if !slices.Contains(known, name) {
			return nil, &VariantError{item, fmt.Sprintf("no variant of this name; %s has %s", pass, list(known))}
		}
		forced[Pass(pass)] = name
	}
	return forced, nil
}

func list[T ~string](names []T) string {
	s := make([]string, len(names))
	for i, n := range names {
		s[i] = string(n)
	}
	return strings.Join(s, ", ")
}

// Key names a call in a table of tuned choices: pass, shape and attributes.
func (c ConvCall) Key(p Pass) string { return fmt.Sprintf("%s %v", p, c) }

// Key is that of one pass of the convolution for input x, see ConvCall.Key.
func (c Conv) Key(p Pass, x Shape) string {
	y, _ := c.Out(x)
	return ConvCall{Conv: c, In: Tensor{Shape: x}, Out: Tensor{Shape: y}}.Key(p)
}

func (c ConvCall) String() string {
	return fmt.Sprintf("%v to %d k%d s%d p%d", c.In.Shape, c.M, c.K, c.Stride, c.Pad)
}

// Key names a call in a table of tuned choices: pass and shape.
func (c LinearCall) Key(p Pass) string { return fmt.Sprintf("%s %v", p, c) }

// Key is that of one pass of the layer for input x, see LinearCall.Key.
func (o Linear) Key(p Pass, x Shape) string {
	return LinearCall{Linear: o, In: Tensor{Shape: x}}.Key(p)
}

func (c LinearCall) String() string { return fmt.Sprintf("%v to %d", c.In.Shape, c.M) }

// Key names a call in a table of choices: pass and shape.
func (c NormCall) Key(p Pass) string { return fmt.Sprintf("%s %v", p, c) }

func (c NormCall) String() string { return c.In.Shape.String() }

func (c NormCall) planned(r *Recorder) NormCall {
	c.In.Shape, c.Out.Shape = r.planned(c.In.Shape), r.planned(c.Out.Shape)
	return c
}

func (c ConvCall) planned(r *Recorder) ConvCall {
	c.In.Shape, c.Out.Shape = r.planned(c.In.Shape), r.planned(c.Out.Shape)
	return c
}

func (c LinearCall) planned(r *Recorder) LinearCall {
	c.In.Shape, c.Out.Shape = r.planned(c.In.Shape), r.planned(c.Out.Shape)
	return c
}

func (c ConvCall) masks() bool { return c.Mask != nil }
func (LinearCall) masks() bool { return false }
func (NormCall) masks() bool   { return false }

// choose picks the variant for a call, by the network's largest batch: a smaller last batch runs the same kernels.
func (w ways[C]) choose(r *Recorder, p Pass, c C) (Variant[C], error) {
	c = c.planned(r)
	wanted := append([]string{r.Choice.Forced[p], r.Choice.Tuned[c.Key(p)]}, Preferred(r.Dev.Adapter)...)
	var reasons []string
	for _, name := range append(wanted, w.names(p)...) {
		for _, v := range w[p] {
			if v.Name != name {
				continue
			}
			err := v.fits(r.Dev.Limits(), c)
			if c.masks() && !v.Masks {
				err = errors.New("it can't mask the gradient")
			}
			if err == nil {
				return v, nil
			}
			reasons = append(reasons, name+": "+err.Error())
		}
	}
	slices.Sort(reasons)
	why := strings.Join(slices.Compact(reasons), "; ")
	return Variant[C]{}, fmt.Errorf("no variant of %s fits this adapter: %s", c.Key(p), why)
}

// fits says why the variant can't record the call; nil where it can.
func (v Variant[C]) fits(l gpu.Limits, c C) error {
	if v.Fits == nil {
		return nil
	}
	return v.Fits(l, c)
}

// need is the memory that the variant takes for a call.
func (v Variant[C]) need(l gpu.Limits, c C) Need {
	if v.Need == nil {
		return Need{}
	}
	return v.Need(l, c)
}

// Offer is a variant that can record a pass of an operator at one shape.
type Offer struct {
	Variant string
	Fits    func(l gpu.Limits) error // why not on an adapter of these limits; nil where it can
	Need    func(l gpu.Limits) Need  // memory that it takes there
}

// offers are the variants of a pass that can record the call.
func (w ways[C]) offers(p Pass, c C) []Offer {
	var offers []Offer
	for _, v := range w[p] {
		if c.masks() && !v.Masks {
			continue
		}
		offers = append(offers, Offer{
			v.Name,
			func(l gpu.Limits) error { return v.fits(l, c) }, func(l gpu.Limits) Need { return v.need(l, c) },
		})
	}
	return offers
}

// need is the memory that the variants chosen for some passes take for a call.
func (w ways[C]) need(r *Recorder, c C, passes ...Pass) (need Need, err error) {
	for _, p := range passes {
		v, err := w.choose(r, p, c)
		if err != nil {
			return need, err
		}
		need = need.Max(v.need(r.Dev.Limits(), c.planned(r)))
	}
	return need, nil
}

// record records a call with the variant that suits it.
func (w ways[C]) record(r *Recorder, p Pass, c C) error {
	v, err := w.choose(r, p, c)
	if err != nil {
		return err
	}
	if r.Used != nil {
		r.Used[c.planned(r).Key(p)] = v.Name
	}
	if n := v.need(r.Dev.Limits(), c.planned(r)); n.Partial > 0 && (r.Partial == nil || r.Partial.Size < n.Partial) ||
		n.Unfolded > 0 && (r.Unfolded == nil || r.Unfolded.Size < n.Unfolded) || !r.Scratch.holds(n.Scratch) {
		return fmt.Errorf("%s: variant %s needs more than is planned: %+v", c.Key(p), v.Name, n)
	}
	return v.Record(r, c)
}
