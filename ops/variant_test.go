package ops

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/gpu"
)

func TestForcedVariants(t *testing.T) {
	for _, c := range []struct {
		value string
		want  map[Pass]string
		fails []string // parts of the error
	}{
		{value: "", want: map[Pass]string{}},
		{value: "conv/forward=straight", want: map[Pass]string{ConvForward: "straight"}},
		{
			value: " conv/forward=straight, conv/weight-gradient=straight,",
			want:  map[Pass]string{ConvForward: "straight", ConvWeightGrad: "straight"},
		},
		{value: "conv/forward=fastest", fails: []string{VariantEnv, `"fastest"`, "straight"}},
		{value: "conv/forward", fails: []string{"conv/forward", "straight"}},
		{value: "conv/backward=straight", fails: []string{VariantEnv, "conv/backward=straight", "conv/forward, conv/input-gradient, conv/weight-gradient"}},
		{value: "straight", fails: []string{"PASS=VARIANT"}},
	} {
		t.Setenv(VariantEnv, c.value)
		got, err := ForcedVariants()
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.value, diff)
		}
		if (err != nil) != (c.fails != nil) {
			t.Errorf("%q: error %v", c.value, err)
		}
		for _, part := range c.fails {
			if err != nil && !strings.Contains(err.Error(), part) {
				t.Errorf("%q: error %q does not contain %q", c.value, err, part)
			}
		}
	}
}

// TestChoose checks who is asked in which order, with variants that only say that they fit.
func TestChoose(t *testing.T) {
	defer func(was []Variant) { variants[ConvForward] = was }(variants[ConvForward])
	yes := func(gpu.Limits, ConvCall) error { return nil }
	small := func(_ gpu.Limits, c ConvCall) error {
		if c.In.N > 8 {
			return errors.New("more than 8 images")
		}
		return nil
	}
	call, err := Conv{C: 3, M: 5, K: 3, Stride: 1, Pad: 1}.call(Shape{4, 3, 8, 8})
	if err != nil {
		t.Fatal(err)
	}
	key := call.Key(ConvForward)
	forced := func(name string) map[Pass]string { return map[Pass]string{ConvForward: name} }
	tuned := func(name string) map[string]string { return map[string]string{key: name, "another": "a"} }
	for _, c := range []struct {
		name   string
		kind   string // of the adapter
		batch  int
		choice Choice
		want   string
	}{
		{"heuristic for a CPU", "cpu", 4, Choice{}, "straight"},
		{"heuristic for a GPU", "discrete", 4, Choice{}, "tiled"},
		{"tuned", "cpu", 4, Choice{Tuned: tuned("a")}, "a"},
		{"forced before tuned", "cpu", 4, Choice{Forced: forced("b"), Tuned: tuned("a")}, "b"},
		{"tuned for another batch", "cpu", 5, Choice{Tuned: tuned("a")}, "straight"},
		{"tuned to what is gone", "cpu", 4, Choice{Tuned: tuned("z")}, "straight"},
		{"forced where it does not fit the largest batch", "cpu", 9, Choice{Forced: forced("b")}, "straight"},
	} {
		variants[ConvForward] = []Variant{{Name: "a", Fits: yes}, {Name: "b", Fits: small}, {Name: "straight", Fits: yes}, {Name: "tiled", Fits: yes}}
		r := &Recorder{Dev: &gpu.Device{Adapter: gpu.Adapter{Type: c.kind}}, Batch: c.batch, Choice: c.choice}
		if v, err := r.choose(ConvForward, call); err != nil || v.Name != c.want {
			t.Errorf("%s: %q, error %v; want %q", c.name, v.Name, err, c.want)
		}
	}
	variants[ConvForward] = []Variant{{Name: "b", Fits: small}}
	r := &Recorder{Dev: &gpu.Device{}, Batch: 9}
	if v, err := r.choose(ConvForward, call); err == nil || !strings.Contains(err.Error(), "b: more than 8 images") {
		t.Errorf("nothing fits: %q, error %v", v.Name, err)
	}
}
