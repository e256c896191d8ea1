package golden

import (
	"hash/fnv"
	"math"
	"strings"
)

// pcg is the hash of Jarzynski and Olano, "Hash Functions for GPU Rendering", 2020.
func pcg(v uint32) uint32 {
	s := v*747796405 + 2891336453
	w := ((s >> ((s >> 28) + 4)) ^ s) * 277803737
	return (w >> 22) ^ w
}

// Bits are n words made of a name: h[i] = PCG(i + PCG(FNV-1a(name))).
func Bits(name string, n int) []uint32 {
	f := fnv.New32a()
	f.Write([]byte(name))
	key := pcg(f.Sum32())
	out := make([]uint32, n)
	for i := range out {
		out[i] = pcg(uint32(i) + key)
	}
	return out
}

// Init gives the n initial values of a tensor (models/testdata/common.py computes the same bits), so that no weights
// need to be stored. Element i of the tensor called name is made of
//
//	h = Bits(name)[i]    u = (h>>8)/2²³ − 1, so −1 ≤ u < 1
//
// computed in float64 and rounded to float32 once. fanIn is C·K·K for the weight and the bias of a convolution, and 0
// for a tensor of a batch normalisation:
//
//	convolution   *.weight        √(6/fanIn)·u, the variance of He et al. (2015)
//	              *.bias          0.1·u
//	batch norm    *.weight        1 + 0.5·u
//	              *.bias          0.1·u
//	              *.running_mean  0
//	              *.running_var   1
//
// last marks the layer that makes the logits: its weight is a tenth of that and its bias 0.5 higher. That keeps a last
// ReLU open and the first steps small, so that float32 and float64 runs stay together.
func Init(name string, n, fanIn int, last bool) []float32 {
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
	for i, h := range Bits(name, n) {
		u := float64(h>>8)/(1<<23) - 1
		// The conversion keeps the compiler from fusing product and sum.
		values[i] = float32(float64(scale*u) + offset)
	}
	return values
}

// Images are n images of size×size pixels, CHW: of each 4×4 squares in random colours, and noise upon them.
func Images(n, size int) []byte {
	squares, noise := Bits("squares", n*3*16), Bits("noise", n*3*size*size)
	out := make([]byte, len(noise))
	for i := range out {
		plane, y, x := i/(size*size), i/size%size, i%size
		square := squares[16*plane+y*4/size*4+x*4/size] >> 24
		out[i] = byte((3*square + noise[i]>>24) / 4)
	}
	return out
}
