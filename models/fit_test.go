package models

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ninvk/nn"
	"ninvk/safetensors"
)

// madeUp are models whose names have nothing in common, some of deep layers. blocks is how many of those.
func madeUp(name string, blocks int) *model {
	return &model{name: name, size: 8, build: func(g *nn.Graph, x *nn.Node, c Config) *nn.Node {
		x = g.Conv("conv1", x, nn.Conv{Channels: 4, Kernel: 3, Pad: 1})
		x = g.BatchNorm("bn1", x, nn.BatchNorm{ReLU: true})
		for i := range blocks {
			layer := fmt.Sprintf("features.block%d.layer%d.", i/10+1, i%10+1)
			x = g.Conv(layer+"conv1", x, nn.Conv{Channels: 4, Kernel: 1})
			x = g.BatchNorm(layer+"norm1", x, nn.BatchNorm{ReLU: true})
		}
		x = g.Conv("fc", x, nn.Conv{Channels: c.Classes, Kernel: 1})
		return g.GlobalAvgPool("mean", x)
	}}
}

// tensors are those of a model for a number of classes, under the names that name gives.
func tensors(t testing.TB, m *model, classes int, name func(string) string) []safetensors.Tensor {
	t.Helper()
	g, _, err := m.graph(Config{Model: m.name, Classes: classes, Size: m.size})
	if err != nil {
		t.Fatal(err)
	}
	var all []safetensors.Tensor
	for _, p := range g.Params() {
		if p.Role == nn.BatchesTracked {
			all = append(all, safetensors.FromInt64(name(p.Name), 7))
		} else {
			all = append(all, safetensors.FromFloat32s(name(p.Name), p.Shape, make([]float32, p.Len())))
		}
	}
	return all
}

func scalar(name string) safetensors.Tensor {
	return safetensors.FromFloat32s(name, []int{}, []float32{0})
}

// oldName is a layer's name in files of old.
func oldName(s string) string {
	return strings.NewReplacer(".norm1.", ".norm.1.", ".conv1.", ".conv.1.").Replace(s)
}

// What is beside a network's tensors is told apart: other copies of it, numbers, what the model knows to be of no use;
// old names are today's. What it does not know is an error.
func TestChoose(t *testing.T) {
	m := madeUp("made-up", 3)
	m.surplus = func(name string) bool { return strings.HasPrefix(name, "aux") }
	m.rename = strings.NewReplacer(".norm.1.", ".norm1.", ".conv.1.", ".conv1.").Replace
	list := []*model{madeUp("other", 2), m}
	same := func(s string) string { return s }
	in := func(prefix string) func(string) string { return func(s string) string { return prefix + s } }
	plus := func(name func(string) string, extra ...safetensors.Tensor) []safetensors.Tensor {
		return append(tensors(t, m, 5, name), extra...)
	}
	for _, c := range []struct {
		name    string
		tensors []safetensors.Tensor
		want    []string // what was done, or what is wrong
		bad     bool
	}{
		{"plain", plus(same), nil, false},
		{"DataParallel", plus(in("module.")), []string{"prefix module. dropped"}, false},
		{"averaged", plus(same, scalar("n_averaged")), []string{"passed over: n_averaged []"}, false},
		{"surplus", plus(same, scalar("aux1.conv.weight"), scalar("aux2.fc.bias")),
			[]string{"passed over: aux1.conv.weight [], aux2.fc.bias []"}, false},
		{"surplus in DataParallel", plus(in("module."), scalar("module.aux1.conv.weight"), scalar("step")),
			[]string{"prefix module. dropped", "passed over: module.aux1.conv.weight [], step []"}, false},
		{"old names", plus(oldName), []string{"old names of layers renamed"}, false},
		{"old names in DataParallel", plus(func(s string) string { return "module." + oldName(s) }),
			[]string{"prefix module. dropped", "old names of layers renamed"}, false},
		{"twice", plus(same, plus(in("ema."))...), []string{"ema would fit as well", "passed over: ema.conv1.weight " +
			"[4 3 3 3], ema.conv1.bias [4], ema.bn1.weight [4], ema.bn1.bias [4], ema.bn1.running_mean [4] and 25 more"}, false},
		{"a layer more", plus(same, scalar("layer9.weight")),
			[]string{"made-up comes nearest, but tensor layer9.weight does not belong"}, true},
		{"surplus elsewhere", plus(in("module."), scalar("module.x.aux1.weight")),
			[]string{"module.x.aux1.weight does not belong"}, true},
		{"a layer in both names", plus(same, scalar("features.block1.layer1.norm.1.weight")),
			[]string{"features.block1.layer1.norm.1.weight does not belong"}, true},
		{"a layer less", plus(same)[:8], []string{"fit none of other, made-up"}, true},
	} {
		f := FileOf("w", &safetensors.File{Tensors: c.tensors})
		best, others, err := f.choose("", list)
		if c.bad {
			if err == nil || !strings.Contains(err.Error(), c.want[0]) {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, f.done(best, others)); diff != "" || best.model != m || best.classes() != 5 {
			t.Errorf("%s: %s for %d classes (-want +done):\n%s", c.name, best.name, best.classes(), diff)
		}
		taken := 0
		for _, r := range best.rows() {
			if r.As != "" {
				taken++
			}
		}
		if taken != len(best.params) {
			t.Errorf("%s: %d of %d rows are taken", c.name, taken, len(best.params))
		}
	}
}

// Choosing among many large networks takes moments, whatever is in the file.
func TestChooseIsQuick(t *testing.T) {
	var list []*model
	for i := range 15 {
		m := madeUp(fmt.Sprint("deep", i), 190+i) // 1,540 tensors and more
		m.rename = strings.NewReplacer(".norm.1.", ".norm1.", ".conv.1.", ".conv1.").Replace
		list = append(list, m)
		wantsOf(m)
	}
	last := list[len(list)-1]
	for name, all := range map[string][]safetensors.Tensor{
		"the last": tensors(t, last, 3, func(s string) string { return "model.module." + oldName(s) }),
		"none":     append(tensors(t, last, 3, func(s string) string { return s }), scalar("layer.more")),
	} {
		start := time.Now()
		best, _, err := FileOf("w", &safetensors.File{Tensors: all}).choose("", list)
		if (err == nil) != (name == "the last") || err == nil && best.model != last {
			t.Errorf("%s: %v", name, err)
		}
		took := time.Since(start)
		t.Logf("%s: %v", name, took)
		if took > 3*time.Second {
			t.Errorf("%s: choosing among %d networks of some %d tensors took %v", name, len(list), len(all), took)
		}
	}
}

func TestCommonFront(t *testing.T) {
	for text, want := range map[string]string{
		"classifier.0.weight classifier.0.bias classifier.12.weight": "classifier.",
		"conv1.weight conv2.weight":                                  "",
		"conv.weight conv1.weight":                                   "",
		"a.b.weight a.b.bias":                                        "a.b.",
		"a.b.c.weight a.bb.weight":                                   "a.",
		"weight":                                                     "",
	} {
		var specs []nn.ParamSpec
		for _, name := range strings.Fields(text) {
			specs = append(specs, nn.ParamSpec{Name: name})
		}
		if got := commonFront(specs); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// What stands in the table holds: every network is built for its own size and from its least size on.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range Names() {
		if seen[name] || Check(name) != nil || Source(name) == "" {
			t.Errorf("%s: there before: %v; whose definition: %q", name, seen[name], Source(name))
		}
		seen[name] = true
		least := LeastSize(name)
		if least < 1 || least > Size(name) {
			t.Errorf("%s: least size %d, own size %d", name, least, Size(name))
		}
		for _, size := range []int{least - 1, least, least + 1, least + 2, Size(name), 2*Size(name) - 1} {
			_, out, err := Build(Config{Model: name, Classes: 7, Size: size})
			if (err == nil) != (size >= least) || err == nil && out.Shape.C != 7 {
				t.Errorf("%s for images of %d pixels, least %d: %v", name, size, least, err)
			}
		}
	}
	if Check("nix") == nil || Size("nix") != 0 || LeastSize("nix") != 0 || Source("nix") != "" {
		t.Error("an unknown network is known")
	}
}
