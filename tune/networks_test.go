package tune

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/models"
	"ninvk/ops"
)

func TestCalls(t *testing.T) {
	g, _, err := models.Build(models.Config{Model: "nin", Classes: 10, Size: 32})
	if err != nil {
		t.Fatal(err)
	}
	count := func(calls []Call) map[ops.Pass]int {
		n := map[ops.Pass]int{}
		for _, c := range calls {
			if c.In.N != 7 {
				t.Errorf("%s: batch %d, want 7", c.Key(), c.In.N)
			}
			n[c.Pass]++
		}
		return n
	}
	// Nine convolutions, of which two have the same shape and so one entry; the images need no gradient.
	if diff := cmp.Diff(map[ops.Pass]int{ops.ConvForward: 8, ops.ConvInputGrad: 7, ops.ConvWeightGrad: 8},
		count(Calls(g, 7, true))); diff != "" {
		t.Errorf("training (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[ops.Pass]int{ops.ConvForward: 8}, count(Calls(g, 7, false))); diff != "" {
		t.Errorf("evaluation (-want +got):\n%s", diff)
	}
}
