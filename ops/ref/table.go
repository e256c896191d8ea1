package ref

import (
	"math"
	"slices"
	"strings"

	"ninvk/ops"
	"ninvk/ops/cases"
)

// Values are the operands of a case by name: activations as NCHW.
type Values map[string][]float64

// Table says whose twin is which: it gives the outputs of a pass from its inputs in float64, by Key. Running averages
// among the inputs are moved. Passes that differ only in how often they run have one entry each.
var Table = map[string]func(c cases.Case, in Values) Values{
	"conv forward": func(c cases.Case, in Values) Values {
		y := ConvForward(convShape(c), in["x"], in["weight"], in["bias"])
		if c.Op.(ops.Conv).ReLU {
			y = ReLU(y)
		}
		return Values{"y": y}
	},
	"conv input gradient": func(c cases.Case, in Values) Values {
		dx := ConvInputGrad(convShape(c), in["dy"], in["weight"])
		if x, masked := in["x"]; masked {
			dx = ReLUGrad(x, dx)
		}
		return Values{"dx": dx}
	},
	"conv weight gradient": func(c cases.Case, in Values) Values {
		dy := in["dy"]
		if y, masked := in["y"]; masked {
			dy = ReLUGrad(y, dy)
		}
		dw, db := ConvWeightGrad(convShape(c), in["x"], dy)
		return Values{"dweight": dw, "dbias": db, "dy": dy}
	},
	"bias gradient": func(c cases.Case, in Values) Values { return Values{"dbias": channelSums(c.In, in["dy"])} },
	"relu forward":  func(_ cases.Case, in Values) Values { return Values{"v": ReLU(in["v"])} },
	"relu gradient": func(_ cases.Case, in Values) Values { return Values{"dv": ReLUGrad(in["y"], in["dv"])} },
	"add forward": func(c cases.Case, in Values) Values {
		sum := make([]float64, c.In.Elements())
		for _, x := range in {
			for i, v := range x {
				sum[i] += v
			}
		}
		if c.Op.(ops.Add).ReLU {
			sum = ReLU(sum)
		}
		return Values{"sum": sum}
	},
	"max pool forward": func(c cases.Case, in Values) Values {
		y, _ := MaxPool(poolShape(c), in["x"])
		return Values{"y": y}
	},
	"max pool gradient": func(c cases.Case, in Values) Values {
		_, arg := MaxPool(poolShape(c), in["x"])
		dx := MaxPoolGrad(poolShape(c), arg, in["dy"])
		if c.Op.(ops.MaxPool).AfterReLU {
			dx = ReLUGrad(in["x"], dx)
		}
		return Values{"dx": dx}
	},
	"average pool forward": func(c cases.Case, in Values) Values { return Values{"y": AvgPool(poolShape(c), in["x"])} },
	"average pool gradient": func(c cases.Case,
		in Values) Values {
		return Values{"dx": AvgPoolGrad(poolShape(c), in["dy"])}
	},
	"global average pool forward": func(c cases.Case, in Values) Values {
		return Values{"y": GlobalAvgPool(c.In.N, c.In.C, c.In.H, c.In.W, in["x"])}
	},
	"global average pool gradient": func(c cases.Case, in Values) Values {
		return Values{"dx": GlobalAvgPoolGrad(c.In.N, c.In.C, c.In.H, c.In.W, in["dy"])}
	},
	"adaptive average pool forward": func(c cases.Case, in Values) Values {
		return Values{"y": AdaptiveAvgPool(adaptiveShape(c), in["x"])}
	},
	"adaptive average pool gradient": func(c cases.Case, in Values) Values {
		return Values{"dx": AdaptiveAvgPoolGrad(adaptiveShape(c), in["dy"])}
	},
	"subsample forward":  func(c cases.Case, in Values) Values { return Values{"y": subsampleShape(c).Forward(in["x"])} },
	"subsample gradient": func(c cases.Case, in Values) Values { return Values{"dx": subsampleShape(c).Grad(in["dy"])} },
	"linear forward": func(c cases.Case, in Values) Values {
		y := LinearForward(linearShape(c), in["x"], in["weight"], in["bias"])
		if c.Op.(ops.Linear).ReLU {
			y = ReLU(y)
		}
		return Values{"y": y}
	},
	"linear input gradient": func(c cases.Case, in Values) Values {
		dx := LinearInputGrad(linearShape(c), in["dy"], in["weight"])
		for i, v := range in["dx"] { // what it is added to
			dx[i] += v
		}
		return Values{"dx": dx}
	},
	"linear weight gradient": func(c cases.Case, in Values) Values {
		dy := in["dy"]
		if y, masked := in["y"]; masked {
			dy = ReLUGrad(y, dy)
		}
		dw, db := LinearWeightGrad(linearShape(c), in["x"], dy)
		return Values{"dweight": dw, "dbias": db, "dy": dy}
	},
	"batch norm training": func(c cases.Case, in Values) Values {
		y, _, _ := trainNorm(c, in, 1)
		return Values{"y": y, "mean": in["mean"], "variance": in["variance"]}
	},
	"batch norm training twice": func(c cases.Case, in Values) Values {
		y, _, _ := trainNorm(c, in, 2)
		return Values{"y": y, "mean": in["mean"], "variance": in["variance"]}
	},
	"batch norm once more in place": func(c cases.Case, in Values) Values {
		y, _, _ := trainNorm(c, in, 1)
		return Values{"x": y, "mean": in["mean"], "variance": in["variance"]}
	},
	"batch norm evaluation": func(c cases.Case, in Values) Values {
		y := normShape(c).Eval(in["x"], in["weight"], in["bias"], in["mean"], in["variance"])
		if c.Op.(ops.BatchNorm).ReLU {
			y = ReLU(y)
		}
		return Values{"y": y}
	},
	"batch norm gradient":        normGrad("dy", "dweight", "dbias"),
	"batch norm weight gradient": normGrad("dweight"),
	"batch norm bias gradient":   normGrad("dbias"),
	"batch norm frozen gradient": func(c cases.Case, in Values) Values {
		dy := in["dy"]
		if c.Op.(ops.BatchNorm).ReLU {
			dy = ReLUGrad(normShape(c).Eval(in["x"], in["weight"], in["bias"], in["mean"], in["variance"]), dy)
		}
		return Values{"dy": normShape(c).EvalGrad(in["weight"], in["variance"], dy)}
	},
	"dropout forward": func(c cases.Case, in Values) Values {
		o := c.Op.(ops.Dropout)
		return Values{"v": Dropout(uint32(in["step"][1]), o.Layer, uint32(in["step"][4])*uint32(c.In.C*c.In.H*c.In.W), o.P,
			in["v"])}
	},
	"pairs forward": func(c cases.Case, in Values) Values { return Values{"v": Pairs(c.In.N, c.In.C, in["v"])} },
	"cross entropy forward and gradient": func(c cases.Case, in Values) Values {
		n, classes := c.In.N, c.In.C
		labels := make([]int, n)
		for i, v := range in["labels"] {
			labels[i] = int(v)
		}
		o := c.Op.(ops.CrossEntropy)
		losses, dlogits, places := SoftmaxCrossEntropy(n, classes, in["logits"], labels, o.Smoothing, in["class weights"]...)
		if step, weighted := in["step"]; weighted { // its balance stands for images / sum of the weights
			balance, sum := float64(math.Float32frombits(uint32(step[5]))), 0.0
			for _, l := range labels {
				sum += in["class weights"][l]
			}
			Weigh(balance, losses)
			Weigh(balance*sum/float64(n), dlogits)
		}
		if o.Weight != 0 {
			Weigh(o.Weight, losses, dlogits)
		}
		result := make([]float64, 2*n)
		for i, l := range losses {
			result[2*i], result[2*i+1] = l, float64(places[i])
			if o.Added {
				result[2*i], result[2*i+1] = in["result"][2*i]+l, in["result"][2*i+1]
			}
		}
		return Values{"dlogits": dlogits, "result": result}
	},
	"gradnorm forward": func(c cases.Case, in Values) Values {
		first := len(in["dweight"]) // the rest, if any, lies in other buffers
		g := slices.Concat(in["dweight"], in["more gradients"])
		norm, broken := GradNorm(g, slices.Concat(in["weight"], in["more weights"]), c.Op.(ops.GradNorm).Clip)
		metrics := []float64{in["metrics"][0], in["metrics"][1], norm, float64(broken)}
		return Values{"dweight": g[:first], "more gradients": g[first:], "metrics": metrics}
	},
	"average update": func(c cases.Case, in Values) Values {
		a := slices.Clone(in["average"])
		word := 2
		if c.In.C == 6 { // as running statistics
			word = 3
		}
		Average(a, in["weight"], float64(math.Float32frombits(uint32(in["step"][word]))))
		return Values{"average": a}
	},
	"sgd 1 steps":  func(c cases.Case, in Values) Values { return descend(c, in, 1) },
	"sgd 10 steps": func(c cases.Case, in Values) Values { return descend(c, in, 10) },
}

// Key names the twin of a case.
func Key(c cases.Case) string { return c.Operator + " " + c.Pass }

func convShape(c cases.Case) Conv {
	o := c.Op.(ops.Conv)
	return Conv{N: c.In.N, C: o.C, H: c.In.H, W: c.In.W, M: o.M, K: o.K, Stride: o.Stride, Pad: o.Pad}
}

func poolShape(c cases.Case) Pool {
	p := Pool{N: c.In.N, C: c.In.C, H: c.In.H, W: c.In.W}
	switch o := c.Op.(type) {
	case ops.MaxPool:
		p.K, p.Stride, p.Pad, p.Ceil = o.K, o.Stride, o.Pad, o.Ceil
	case ops.AvgPool:
		p.K, p.Stride, p.Pad = o.K, o.Stride, o.Pad
	}
	return p
}

func adaptiveShape(c cases.Case) AdaptivePool {
	o := c.Op.(ops.AdaptiveAvgPool)
	return AdaptivePool{N: c.In.N, C: c.In.C, H: c.In.H, W: c.In.W, OH: o.H, OW: o.W}
}

func subsampleShape(c cases.Case) Subsample {
	o := c.Op.(ops.Subsample)
	return Subsample{N: c.In.N, C: c.In.C, H: c.In.H, W: c.In.W, Stride: o.Stride, Before: o.Before, After: o.After}
}

func linearShape(c cases.Case) Linear {
	o := c.Op.(ops.Linear)
	return Linear{N: c.In.N, In: o.In, M: o.M}
}

func normShape(c cases.Case) BatchNorm {
	o := c.Op.(ops.BatchNorm)
	return BatchNorm{N: c.In.N, C: c.In.C, HW: c.In.H * c.In.W, Eps: o.Eps, Momentum: o.Momentum}
}

// trainNorm is the forward pass in training; it moves in["mean"] and in["variance"].
func trainNorm(c cases.Case, in Values, times int) (y, mean, invstd []float64) {
	for range times {
		y, mean, invstd = normShape(c).Train(in["x"], in["weight"], in["bias"], in["mean"], in["variance"])
	}
	if c.Op.(ops.BatchNorm).ReLU {
		y = ReLU(y)
	}
	return y, mean, invstd
}

// normGrad gives the gradients that are wanted, and the running statistics, which have moved.
func normGrad(wanted ...string) func(c cases.Case, in Values) Values {
	return func(c cases.Case, in Values) Values {
		y, mean, invstd := trainNorm(c, in, 1)
		dy := in["dy"]
		if c.Op.(ops.BatchNorm).ReLU {
			dy = ReLUGrad(y, dy)
		}
		all := Values{}
		all["dy"], all["dweight"], all["dbias"] = normShape(c).TrainGrad(in["x"], in["weight"], mean, invstd, dy)
		out := Values{"mean": in["mean"], "variance": in["variance"]}
		for _, name := range wanted {
			out[name] = all[name]
		}
		return out
	}
}

func channelSums(s ops.Shape, v []float64) []float64 {
	sums := make([]float64, s.C)
	for i, x := range v {
		sums[i/(s.H*s.W)%s.C] += x
	}
	return sums
}

func descend(c cases.Case, in Values, steps int) Values {
	o := c.Op.(ops.SGD)
	rate := float64(math.Float32frombits(uint32(in["step"][0])))
	if o.Scale != 0 {
		rate *= o.Scale
	}
	s := SGD{LR: rate, Momentum: o.Momentum, WeightDecay: o.WeightDecay, Nesterov: o.Nesterov}
	w, v := slices.Clone(in["weight"]), slices.Clone(in["velocity"])
	from := len(in["before"]) // of which nothing is updated
	for range steps {
		s.Step(w[from:], in["dweight"][from:], v[from:])
	}
	return Values{"weight": w, "velocity": v}
}

// AvoidKinks changes inputs where rounding alone decides the result: a gradient through the ReLU of a normalised value
// next to 0.
func AvoidKinks(c cases.Case, in Values) {
	o, ok := c.Op.(ops.BatchNorm)
	if !ok || !o.ReLU || !strings.HasSuffix(c.Pass, "gradient") {
		return
	}
	y, _, _ := normShape(c).Train(in["x"], in["weight"], in["bias"], slices.Clone(in["mean"]),
		slices.Clone(in["variance"]))
	if c.Pass == "frozen gradient" {
		y = normShape(c).Eval(in["x"], in["weight"], in["bias"], in["mean"], in["variance"])
	}
	for i, v := range y {
		if math.Abs(v) < 1e-4 {
			in["dy"][i] = 0
		}
	}
}
