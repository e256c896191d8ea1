package nn

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/ops"
)

// TestBackwardPage compares the table of docs/backward.md with what the layers say of themselves.
func TestBackwardPage(t *testing.T) {
	g := NewGraph()
	x := g.Input(4, 8, 8)
	g.Conv("Conv", x, Conv{Channels: 4, Kernel: 3})
	g.Linear("Linear", x, Linear{Outputs: 3})
	g.BatchNorm("BatchNorm", x, BatchNorm{})
	g.ReLU("ReLU", x)
	g.MaxPool("MaxPool", x, ops.MaxPool{K: 2, Stride: 2})
	g.AvgPool("AvgPool", x, ops.AvgPool{K: 2, Stride: 2})
	g.GlobalAvgPool("GlobalAvgPool", x)
	g.AdaptiveAvgPool("AdaptiveAvgPool", x, ops.AdaptiveAvgPool{H: 3, W: 3})
	g.Dropout("Dropout", x, 0.5)
	g.Add("Add", ops.Add{}, x, x)
	g.Concat("Concat", x, x)
	g.Subsample("Subsample", x, ops.Subsample{Stride: 2})
	if g.Err() != nil {
		t.Fatal(g.Err())
	}
	layers := map[string]traits{}
	for _, n := range g.Nodes() {
		layers[n.Name] = n.traits
	}
	layers["Input"] = layers["input"]

	text, err := os.ReadFile("../docs/backward.md")
	if err != nil {
		t.Fatal(err)
	}
	type row struct{ reads, keeps, inPlace bool }
	documented, actual := map[string]row{}, map[string]row{}
	line := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| ([^|]*) \\| ([^|]*) \\| ([^|]*) \\|")
	for _, m := range line.FindAllStringSubmatch(string(text), -1) {
		documented[m[1]] = row{m[2] != "no", !strings.HasPrefix(m[3], "nothing"), strings.HasPrefix(m[4], "yes")}
	}
	kinds := reflect.TypeFor[Visitor]()
	for i := range kinds.NumMethod() {
		name := kinds.Method(i).Name
		l, ok := layers[name]
		if !ok {
			t.Errorf("this test knows no layer %s", name)
		}
		actual[name] = row{l.needsInput, l.aux != nil, l.inPlace}
	}
	if diff := cmp.Diff(actual, documented, cmp.AllowUnexported(row{})); diff != "" {
		t.Errorf("layers (-nn +docs/backward.md):\n%s", diff)
	}
}
