package ref

import (
	"hash/fnv"
	"math"
	"strings"
)

// GoldenInit gives the n initial values of a tensor of the whole-network
// goldens (nin/testdata/golden.py computes the same bits), so that no weights
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
// last marks the last convolution: its weights are 0.3 times as large and its
// bias is 0.5 higher, which keeps float32 and float64 runs close together.
func GoldenInit(name string, n int, fanIn int, last bool) []float32 {
	f := fnv.New32a()
	f.Write([]byte(name))
	key := PCG(f.Sum32())
	weight := strings.HasSuffix(name, ".weight")
	scale, offset := 0.1, 0.0
	switch {
	case strings.HasSuffix(name, ".running_mean"):
		scale = 0
	case strings.HasSuffix(name, ".running_var"):
		scale, offset = 0, 1
	case weight && fanIn == 0:
		scale, offset = 0.5, 1
	case weight:
		scale = math.Sqrt(6 / float64(fanIn))
		if last {
			scale *= 0.3
		}
	case last && fanIn > 0:
		offset = 0.5
	}
	values := make([]float32, n)
	for i := range values {
		u := float64(PCG(uint32(i)+key)>>8)/(1<<23) - 1
		// The conversion keeps the compiler from fusing product and sum.
		values[i] = float32(float64(scale*u) + offset)
	}
	return values
}
