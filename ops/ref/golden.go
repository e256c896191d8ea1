package ref

import (
	"hash/fnv"
	"math"
	"strings"
)

// GoldenInit gives the n initial values of a tensor of the whole-network
// goldens (models/testdata/golden.py computes the same bits), so that no weights
// need to be stored. Element i of the tensor called name is made of
//
//	h = PCG(i + PCG(FNV-1a(name)))    u = (h>>8)/2²³ − 1, so −1 ≤ u < 1
//
// computed in float64 and rounded to float32 once. fanIn is C·K·K for the
// weight and the bias of a convolution, and 0 for a tensor of a batch
// normalisation:
//
//	convolution   *.weight        √(6/fanIn)·u, the variance of He et al. (2015)
//	              *.bias          0.1·u
//	batch norm    *.weight        1 + 0.5·u
//	              *.bias          0.1·u
//	              *.running_mean  0
//	              *.running_var   1
//
// last marks the layer that makes the logits, the last convolution of nin and
// the last batch normalisation of nin-bn: its weight is a tenth of that and its
// bias 0.5 higher. That keeps nin's last ReLU open and the first steps small,
// so that float32 and float64 runs stay together for ten steps.
func GoldenInit(name string, n int, fanIn int, last bool) []float32 {
	f := fnv.New32a()
	f.Write([]byte(name))
	key := PCG(f.Sum32())
	var scale, offset float64
	switch {
	case strings.HasSuffix(name, ".running_mean"):
	case strings.HasSuffix(name, ".running_var"):
		offset = 1
	case strings.HasSuffix(name, ".weight"):
		scale, offset = 0.5, 1
		if fanIn > 0 {
			scale, offset = math.Sqrt(6/float64(fanIn)), 0
		}
		if last {
			scale, offset = scale*0.1, offset*0.1
		}
	default:
		scale = 0.1
		if last {
			offset = 0.5
		}
	}
	values := make([]float32, n)
	for i := range values {
		u := float64(PCG(uint32(i)+key)>>8)/(1<<23) - 1
		// The conversion keeps the compiler from fusing product and sum.
		values[i] = float32(float64(scale*u) + offset)
	}
	return values
}
