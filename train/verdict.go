package train

import (
	"cmp"
	"context"
	"math"
	"slices"

	"ninvk/dist"
	"ninvk/nn"
)

// Verdict is what a network said about one image of a split.
type Verdict struct {
	Image       int // its place in the split
	True        int
	Predicted   int     // the first of the largest logits
	Probability float64 // of Predicted
	Loss        float64 // cross entropy, -ln of the probability of True
}

// Judge is Evaluate with a verdict on every image, in the split's order.
func Judge(ctx context.Context, net *nn.Net, f *Feed, progress func(done, total int)) (Evaluation, []Verdict, error) {
	e, verdicts, _, err := judge(ctx, undivided, net, f, f.Split.Len(), progress)
	return e, verdicts, err
}

// judge is Judge with verdicts on the split's first images only. The work is divided, and all processes return the
// same. When ctx ends at any of them, they stop early.
func judge(ctx context.Context, d division, net *nn.Net, f *Feed, first int, progress func(done, total int)) (
	e Evaluation, verdicts []Verdict, stopped bool, err error) {
	e, stopped, err = evaluate(ctx, d, net, f, f.Split.Len(), progress, func(from, n int) error {
		if from >= first {
			return nil
		}
		entries := n
		if net.Options.Pairs {
			entries *= 2 // and the second half has the same logits
		}
		logits, err := net.Logits(entries)
		if err != nil {
			return err
		}
		classes := len(logits) / entries
		for i := range min(n, first-from) {
			verdicts = append(verdicts, verdict(from+i, int(f.Split.Labels[from+i]), logits[i*classes:(i+1)*classes]))
		}
		return nil
	})
	if err != nil {
		return e, nil, false, err
	}
	all, err := dist.Values(d.group, verdicts)
	return e, slices.Concat(all...), stopped, err
}

func verdict(image, label int, logits []float32) Verdict {
	best, sum := 0, 0.0
	for i, v := range logits {
		if v > logits[best] {
			best = i
		}
	}
	for _, v := range logits {
		sum += math.Exp(float64(v) - float64(logits[best]))
	}
	return Verdict{image, label, best, 1 / sum, math.Log(sum) - (float64(logits[label]) - float64(logits[best]))}
}

// Worst are the n mistakes with the largest loss, the largest first.
func Worst(verdicts []Verdict, n int) []Verdict {
	wrong := slices.DeleteFunc(slices.Clone(verdicts), func(v Verdict) bool { return v.True == v.Predicted })
	slices.SortStableFunc(wrong, func(a, b Verdict) int { return cmp.Compare(b.Loss, a.Loss) })
	return wrong[:min(n, len(wrong))]
}
