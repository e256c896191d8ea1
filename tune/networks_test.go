package tune

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/models"
	"ninvk/ops"
)

// networks are the calls of a training step of the published networks at their own sizes.
func networks(t *testing.T, batch int) []Call {
	t.Helper()
	var calls []Call
	for _, model := range models.Names() {
		g, _, err := models.Build(models.Config{Model: model, Classes: 10, Size: models.Size(model)})
		if err != nil {
			t.Fatal(err)
		}
		calls = append(calls, Calls(g, batch, true)...)
	}
	return calls
}

// The table that ships names a variant for every pass of every network, and nothing else.
func TestShippedTable(t *testing.T) {
	want := map[ops.Pass]map[string]string{}
	for _, c := range networks(t, 64) {
		if want[c.Pass] == nil {
			want[c.Pass] = map[string]string{}
		}
		want[c.Pass][c.shippedShape()] = "straight"
	}
	if diff := cmp.Diff(want, shipped().Choices); diff != "" {
		t.Errorf("lavapipe.json (-networks +file):\n%s", diff)
	}
}

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
