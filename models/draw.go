package models

import (
	"maps"
	"math"
	"slices"

	"ninvk/nn"
	"ninvk/rng"
)

// Rule says how the first values of a network's parameters are drawn.
type Rule func([]nn.ParamSpec) []nn.Init

// Own is the network's own rule: as its definition draws them.
func Own(specs []nn.ParamSpec) []nn.Init {
	all := make([]nn.Init, len(specs))
	for i, p := range specs {
		all[i] = p.Init
	}
	return all
}

// LeCun draws the weights of every convolution and linear layer with a variance of 1/fan-in (LeCun et al., Efficient
// BackProp, 1998), and biases of zero. Those of the last layer are one: softmax does not see what all scores have in
// common, and a ReLU behind them, as Network in Network has it, lets their gradients through. Scales and running values
// are the network's own.
func LeCun(specs []nn.ParamSpec) []nn.Init {
	all, last := Own(specs), 0
	for i, p := range specs {
		switch p.Role {
		case nn.Weight:
			all[i], last = nn.Init{Normal: 1 / math.Sqrt(float64(p.Len()/p.Shape[0]))}, i
		case nn.Bias:
			all[i] = nn.Init{}
		}
	}
	for i := last + 1; i < len(specs) && specs[i].Role == nn.Bias; i++ {
		all[i].Constant = 1
	}
	return all
}

// He is LeCun with twice the variance, which keeps that of activations through ReLU (He et al., arXiv 1502.01852); the
// last layer's weights are a third of that, so that no class is thought likely before anything is learnt.
func He(specs []nn.ParamSpec) []nn.Init {
	all, last := LeCun(specs), 0
	for i, p := range specs {
		if p.Role == nn.Weight {
			all[i].Normal *= math.Sqrt2
			last = i
		}
	}
	all[last].Normal /= 3
	return all
}

// OwnRule is the name of Own.
const OwnRule = "own"

var rules = map[string]Rule{OwnRule: Own, "lecun": LeCun, "he": He}

// Rules are the names of all rules, sorted.
func Rules() []string { return slices.Sorted(maps.Keys(rules)) }

// RuleOf is the rule of that name, nil if there is none.
func RuleOf(name string) Rule { return rules[name] }

// Init sets all parameters as the network's definition says (see nn.Init). The values depend on the seed and a
// parameter's place alone.
func Init(n *nn.Net, seed uint64) error { return Random(n.Graph, seed, Own).Load(n) }

// Random is what Init sets, for networks with graph g, or what another rule does. Nothing of an adapter is needed.
func Random(g *nn.Graph, seed uint64, rule Rule) *Weights {
	specs := g.Params()
	inits := rule(specs)
	w := &Weights{values: make([][]float32, len(specs))}
	for i, p := range specs {
		if p.Role == nn.BatchesTracked {
			continue
		}
		v, init := make([]float32, p.Len()), inits[i]
		r := rng.New(seed, "init", uint64(i), 0)
		for j := range v {
			switch {
			case init.Normal > 0:
				v[j] = float32(init.Normal * r.NormFloat64())
			case init.Uniform > 0:
				v[j] = float32(init.Uniform * (2*r.Float64() - 1))
			default:
				v[j] = float32(init.Constant)
			}
		}
		w.values[i] = v
	}
	return w
}
