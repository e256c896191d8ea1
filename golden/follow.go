package golden

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/gpu"
	"ninvk/nn"
	"ninvk/ops"
)

// The mean and deviation of the images' values.
var mean, std = []float64{0.485, 0.456, 0.406}, []float64{0.229, 0.224, 0.225}

// The distance of PyTorch's float32 runs from its float64 run, times a slack, is the bound; but a few roundings are
// never too many.
const (
	lossBound = 1e-4 // relative
	Roundings = 1e-6 // relative to the norm of a tensor; a few are never too many
)

// What is compared.
const (
	LogitsBefore = "logits before training"
	Losses       = "losses of three steps"
	Gradient     = "gradient"
	Running      = "running values"
	LogitsAfter  = "logits after training"
)

// Comparison is that of one kind of result, of a tensor where there is one of each.
type Comparison struct {
	Kind, Tensor string
	Error, Bound float64 // of what comes closest to its bound
	Away         float64 // the same of PyTorch's float32 runs
	Problem      string  // what is wrong; "" where nothing is
}

// note takes the distance of a value and what is allowed.
func (c *Comparison) note(what string, distance, away, slack, least float64) {
	bound := max(slack*away, least)
	wrong := !(distance <= bound) // NaN is wrong too
	if wrong && c.Problem == "" {
		c.Problem = fmt.Sprintf("the %s is away from PyTorch's by %.1e, at most %.1e are allowed", what, distance, bound)
		c.Error, c.Bound, c.Away = distance, bound, away
	}
	if c.Problem == "" && distance*c.Bound >= c.Error*bound {
		c.Error, c.Bound, c.Away = distance, bound, away
	}
}

// Follower is a network on an adapter that does what PyTorch did.
type Follower struct {
	*Network
	Net   *nn.Net
	Slack float64 // how many times as far from float64 as PyTorch's float32 runs it may be

	images *ops.Images
}

// Start builds the network, whose graph for ten classes is given with its logits, with the weights of the formula.
func Start(d *gpu.Device, n *Network, g *nn.Graph, logits *nn.Node, slack float64) (*Follower, error) {
	net, err := nn.Build(d, g, logits, nn.Options{
		Batch: n.Batch, Train: true, Optimiser: ops.SGD{Momentum: 0.9, WeightDecay: 0.0005},
		Augment: ops.Augment{Size: n.Size, Mean: mean, Std: std},
	})
	if err != nil {
		return nil, err
	}
	f := &Follower{Network: n, Net: net, Slack: slack}
	if err := f.fill(d); err != nil {
		f.Release()
		return nil, err
	}
	return f, nil
}

func (f *Follower) fill(d *gpu.Device) (err error) {
	params := f.Net.Params()
	last := layer(params[len(params)-1].Name)
	for i, p := range params {
		if p.Role == nn.BatchesTracked {
			continue
		}
		fanIn := 0
		if len(p.Shape) > 1 {
			fanIn = p.Len() / p.Shape[0]
		}
		if err := f.Net.SetParam(i, Init(p.Name, p.Len(), fanIn, layer(p.Name) == last)); err != nil {
			return err
		}
	}
	pixels := Images(len(f.Network.Losses)*f.Batch, f.Size)
	f.images, err = ops.UploadImages(d, "images of "+f.Name, ops.Shape{C: 3, H: f.Size, W: f.Size}, pixels)
	return err
}

// layer is the name of a parameter's layer.
func layer(parameter string) string { return parameter[:strings.LastIndexByte(parameter, '.')] }

// Release frees what it holds on the adapter.
func (f *Follower) Release() {
	f.Net.Release()
	if f.images != nil {
		f.images.Release()
	}
}

// Stages is the number of stages of Compare.
func (f *Follower) Stages() int { return len(f.Network.Losses) + 2 }

// Compare computes and trains as PyTorch did; progress is told before each stage.
func (f *Follower) Compare(ctx context.Context, progress func(doing string, stage int)) ([]Comparison, error) {
	stage := 0
	next := func(doing string) error {
		progress(doing, stage)
		stage++
		return ctx.Err()
	}
	if err := next("evaluation before training"); err != nil {
		return nil, err
	}
	before, err := f.logits(0, LogitsBefore)
	if err != nil {
		return nil, err
	}
	losses := Comparison{Kind: Losses}
	var sketches []Comparison
	for step, want := range f.Network.Losses {
		if err := next(fmt.Sprintf("training step %d", step+1)); err != nil {
			return nil, err
		}
		got, err := f.step(step)
		if err != nil {
			return nil, err
		}
		what := fmt.Sprintf("loss of step %d", step+1)
		losses.note(what, math.Abs(got-want)/want, f.LossesAway[step]/want, f.Slack, lossBound)
		if step == 0 {
			if sketches, err = f.sketches(); err != nil {
				return nil, err
			}
		}
	}
	if err := next("evaluation after training"); err != nil {
		return nil, err
	}
	after, err := f.logits(1, LogitsAfter)
	return append(append([]Comparison{before, losses}, sketches...), after), err
}

func (f *Follower) entries(step int) []nn.Entry {
	e := make([]nn.Entry, f.Batch)
	for i := range e {
		k := step*f.Batch + i
		e[i] = ops.BatchEntry(uint32(k), uint32(k*7%10), mgl32.Ident3())
	}
	return e
}

// step trains, and gives the loss.
func (f *Follower) step(step int) (float64, error) {
	results, err := f.Net.TrainStep(f.images, f.entries(step), step, f.Rate, 0)
	if err != nil {
		return 0, err
	}
	results = append([]nn.StepResult(nil), results...)
	rest, err := f.Net.Drain()
	if err != nil {
		return 0, err
	}
	return append(results, rest...)[0].Loss, nil
}

// logits compares those of the first batch.
func (f *Follower) logits(when int, kind string) (Comparison, error) {
	c := Comparison{Kind: kind}
	if err := f.Net.EvalStep(f.images, f.entries(0)); err != nil {
		return c, err
	}
	if _, err := f.Net.Drain(); err != nil {
		return c, err
	}
	got, err := f.Net.Logits(f.Batch)
	if err != nil {
		return c, err
	}
	var distance, norm float64
	for i, want := range f.Network.Logits[when] {
		distance = math.Hypot(distance, float64(got[i])-want)
		norm = math.Hypot(norm, want)
	}
	c.note("vector", distance/norm, f.LogitsAway[when]/norm, f.Slack, Roundings)
	return c, nil
}

// sketches compares the gradients of the last step, and the running values after it.
func (f *Follower) sketches() ([]Comparison, error) {
	grads, err := f.Net.ReadGrads()
	if err != nil {
		return nil, err
	}
	values, err := f.Net.ReadParams()
	if err != nil {
		return nil, err
	}
	const figures, samples = 4, 16
	var out []Comparison
	for i, p := range f.Net.Params() {
		c, got := Comparison{Kind: Gradient, Tensor: p.Name}, grads[i]
		switch {
		case p.Role == nn.BatchesTracked:
			continue
		case !p.Trained():
			c.Kind, got = Running, values[i]
		}
		var sum, norm float64
		for _, x := range got {
			sum += float64(x)
			norm += float64(x) * float64(x)
		}
		norm = math.Sqrt(norm)
		row := make([]float64, figures+samples)
		for j, x := range f.Sketches[len(row)*i : len(row)*(i+1)] {
			row[j] = float64(x)
		}
		wantSum, wantNorm, most, away := row[0], row[1], row[2], row[3]
		var farthest float64
		for j, at := range Bits(p.Name, samples) {
			distance := math.Abs(float64(got[int(at)%len(got)]) - row[figures+j])
			if !(distance <= farthest) {
				farthest = distance
			}
		}
		root := math.Sqrt(float64(len(got)))
		unit := cmp.Or(wantNorm, 1)
		c.note("norm", math.Abs(norm-wantNorm)/unit, away/unit, f.Slack, Roundings)
		c.note("sum", math.Abs(sum-wantSum)/unit/root, away/unit, f.Slack, Roundings)
		c.note("value that is farthest", farthest/unit*root, most/unit*root, f.Slack, 10*Roundings)
		out = append(out, c)
	}
	return out, nil
}
