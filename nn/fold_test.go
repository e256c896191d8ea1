package nn

import (
	"math"
	"math/rand/v2"
	"testing"

	"ninvk/ops/ref"
)

// A folded graph computes in evaluation what the other one does: by float64 twins of both, with values that Values made
// of those of the other. Normalisations go where they can, and only there.
func TestFold(t *testing.T) {
	conv := func(g *Graph, name string, x *Node, relu bool) *Node {
		return g.Conv(name, x, Conv{Channels: 8, Kernel: 3, Pad: 1, ReLU: relu})
	}
	for _, c := range []struct {
		name  string
		build func(channels int) (*Graph, *Node)
		keep  []string // layers
		norms int      // that are left
	}{
		{name: "tangled", build: tangled, norms: 2},
		{name: "kept", build: tangled, keep: []string{"project", "dense1.norm2", "dense2.reduce"}, norms: 4},
		{name: "behind", build: behind, norms: 1},
		{name: "two take the convolution's output", build: func(channels int) (*Graph, *Node) {
			g := NewGraph()
			x := conv(g, "conv", g.Input(channels, 5, 4), false)
			return g, g.Concat("join", g.BatchNorm("norm", x, BatchNorm{ReLU: true}), x)
		}, norms: 1},
		{name: "a ReLU is between", build: func(channels int) (*Graph, *Node) {
			g := NewGraph()
			return g, g.BatchNorm("norm", conv(g, "conv", g.Input(channels, 5, 4), true), BatchNorm{})
		}, norms: 1},
		{name: "twice", build: func(channels int) (*Graph, *Node) {
			g := NewGraph()
			x := g.BatchNorm("norm", conv(g, "conv", g.Input(channels, 5, 4), false), BatchNorm{ReLU: true})
			return g, g.BatchNorm("again", x, BatchNorm{ReLU: true})
		}, norms: 1},
		{name: "one that is not needed takes it too", build: func(channels int) (*Graph, *Node) {
			g := NewGraph()
			x := conv(g, "conv", g.Input(channels, 5, 4), false)
			g.AddLoss(g.Linear("aux", x, Linear{Outputs: 5}), 1)
			return g, g.BatchNorm("norm", x, BatchNorm{ReLU: true})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, out := c.build(3)
			if g.Err() != nil {
				t.Fatal(g.Err())
			}
			ends := []*Node{out}
			for _, x := range g.nodes {
				for _, name := range c.keep {
					if x.Name == name {
						ends = append(ends, x)
					}
				}
			}
			if len(ends) != 1+len(c.keep) {
				t.Fatalf("no layers of all the names %v", c.keep)
			}
			f := g.Fold(ends...)
			if f.Graph.Err() != nil {
				t.Fatal(f.Graph.Err())
			}
			norms := 0
			for _, x := range f.Graph.nodes {
				if _, ok := x.layer.(batchNorm); ok {
					norms++
				}
			}
			if norms != c.norms {
				t.Errorf("%d normalisations are left, want %d", norms, c.norms)
			}
			r := rand.New(rand.NewPCG(3, 4))
			values := make([][]float32, len(g.Params()))
			for i, p := range g.Params() {
				if p.Role == BatchesTracked {
					continue
				}
				values[i] = make([]float32, p.Len())
				for j := range values[i] {
					v := r.NormFloat64()
					if p.Role == RunningVariance {
						v = math.Abs(v)
					}
					values[i][j] = float32(v)
				}
			}
			x := make([]float64, 2*g.nodes[0].Shape.Elements())
			for i := range x {
				x[i] = r.Float64()
			}
			want, got := evaluated(t, g, values, x), evaluated(t, f.Graph, f.Values(values), x)
			for _, end := range ends {
				y := f.Node(end)
				if y == nil || y.Shape != end.Shape {
					t.Fatalf("%s is %+v", end.Name, y)
				}
				most, away := 0.0, 0.0
				for i, v := range want[end] {
					most, away = math.Max(most, math.Abs(v)), math.Max(away, math.Abs(got[y][i]-v))
				}
				if !(away <= 1e-5*most) || most == 0 {
					t.Errorf("%s is away by %g of %g", end.Name, away, most)
				}
			}
		})
	}
}

// evaluated are the outputs of all layers in evaluation of two images, in float64.
func evaluated(t *testing.T, g *Graph, values [][]float32, x []float64) map[*Node][]float64 {
	t.Helper()
	w := &twin{n: 2, x: x, values: map[*Node][]float64{}, params: map[string][]float64{}, rates: Rates{}}
	for i, p := range g.Params() {
		w.params[p.Name], w.rates[p.Name] = ref.Float64s(values[i]), 0
	}
	for _, x := range g.nodes {
		if err := x.Visit(w); err != nil {
			t.Fatal(err)
		}
	}
	return w.values
}
