// Package check tells whether an adapter computes rightly. It runs a part of the table of operators, in every variant
// that fits, and ten training steps, and compares the results with those of the float64 twins, which the program
// carries; or a network, compared with what PyTorch computes of it.
package check

import (
	_ "embed"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"ninvk/ops/cases"
	"ninvk/rng"
	"ninvk/safetensors"
)

// names are the entries of the table of operators that are checked, in all variants or in the one named: each operator,
// pass and variant at least once, at shapes that leave channels and pixels over. Few kernels, and small ones, for a
// driver may take seconds to compile one.
var names = []string{
	"conv forward 1×3×7×5 to 5 k3 s1 p2 relu",
	"conv input gradient 1×3×7×5 to 5 k3 s1 p2 relu",
	"conv input gradient 1×3×7×5 to 5 k3 s1 p2 relu masked",
	"conv weight gradient 1×3×7×5 to 5 k3 s1 p2 relu",
	"conv weight gradient 1×3×7×5 to 5 k3 s1 p2 relu masked",
	"conv forward 2×32×7×5 to 32 k1 s1 p0 relu [tiled-8x8]",
	"conv input gradient 2×32×7×5 to 32 k1 s1 p0 relu [tiled-8x8]",
	"conv weight gradient 2×32×7×5 to 32 k1 s1 p0 relu masked [tiled-8x8]",
	"conv weight gradient 2×32×7×5 to 32 k1 s1 p0 relu masked [tiled-wide]",
	"conv weight gradient 2×32×7×5 to 32 k1 s1 p0 relu masked [tiled-short]",
	"conv forward 1×1×11×13 to 3 k11 s1 p2 [tiled-split]",
	"conv input gradient 1×1×11×13 to 3 k11 s1 p2 [tiled-split]",
	"bias gradient 1×3×7×5",
	"max pool gradient 1×3×7×5 k3 s2 p1 ties after relu",
	"max pool forward 1×3×7×5 k3 s2 p1",
	"max pool forward 1×3×7×5 k3 s2 p1 ties",
	"max pool gradient 1×3×7×5 k3 s2 p1",
	"max pool gradient 1×3×7×5 k3 s2 p1 ties",
	"average pool forward 1×3×7×5 k3 s2 p1",
	"average pool gradient 1×3×7×5 k3 s2 p1",
	"global average pool forward 1×3×7×5",
	"global average pool gradient 1×3×7×5",
	"relu forward 1×3×7×5",
	"relu gradient 1×3×7×5",
	"add forward 1×3×7×5",
	"linear forward 3×5×7×5 to 10 relu",
	"linear input gradient 3×5×7×5 to 10 relu",
	"linear input gradient 3×5×7×5 to 10 relu accumulated",
	"linear weight gradient 3×5×7×5 to 10 relu masked",
	"adaptive average pool forward 1×3×13×11 to 4×3",
	"adaptive average pool gradient 1×3×13×11 to 4×3",
	"subsample forward 1×3×7×5 s3, 6 before, 0 after",
	"subsample gradient 1×3×7×5 s3, 6 before, 0 after",
	"dropout forward 1×3×7×5 p0.5",
	"batch norm training 1×3×7×5 relu",
	"batch norm training twice 1×3×7×5",
	"batch norm training 8×192×1×1",
	"batch norm once more in place 1×3×7×5 relu",
	"batch norm evaluation 1×3×7×5 relu",
	"batch norm gradient 1×3×7×5 relu",
	"batch norm gradient 8×192×1×1",
	"batch norm weight gradient 1×3×7×5 relu",
	"batch norm bias gradient 1×3×7×5 relu",
	"batch norm frozen gradient 1×3×7×5 relu",
	"pairs forward 130×10",
	"cross entropy forward and gradient 65×10 smoothing 0.1",
	"cross entropy forward and gradient 65×10 smoothing 0.1 weighted",
	"gradnorm forward 6 clip 0.5",
	"gradnorm forward 70001 clip 0",
	"average update 6 rate 0.001",
	"sgd 1 steps 1031 rate 0.001 momentum 0.9 decay 0.01 nesterov true",
	"sgd 10 steps 1031 rate 0.001 momentum 0.9 decay 0.0005 nesterov false",
	"sgd 10 steps 1031 rate 0.001 momentum 0.9 decay 0.01 nesterov true scale 0.1 from 512",
}

// Cases are the checked entries of the table, variant by variant; of these only the ones whose name contains only.
func Cases(only string) []cases.Case {
	return slices.DeleteFunc(cases.All(), func(c cases.Case) bool {
		return !slices.Contains(names, name(c)) && !slices.Contains(names, c.String()) || !strings.Contains(c.String(), only)
	})
}

// name is that of a case without its variant: variants have the same inputs and the same results.
func name(c cases.Case) string { return c.Operator + " " + c.Pass + " " + shape(c) }

// shape is the shape and the attributes of a case.
func shape(c cases.Case) string { return strings.TrimSuffix(c.Name, fmt.Sprintf(" [%s]", c.Variant)) }

// input makes the values of the i-th operand, words as whole numbers; none where it is no input.
func input(c cases.Case, i int) []float64 {
	o := c.Operands[i]
	var v []float64
	for _, w := range o.Fixed {
		v = append(v, float64(w))
	}
	if o.Value != nil {
		r := rand.New(rng.New(1, "check "+name(c), 0, uint64(i)))
		for range o.Elements() {
			v = append(v, float64(float32(o.Value(r))))
		}
	}
	return v
}

//go:embed expected.safetensors
var expectedFile []byte

// expected are the results of the twins: for every case a tensor NAME/OPERAND for each operand that the pass writes or
// changes, activations as NCHW; for the training steps losses, norms of the gradients, and the parameters at the end.
var expected = sync.OnceValues(func() (*safetensors.File, error) { return safetensors.Decode(expectedFile) })
