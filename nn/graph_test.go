package nn

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/ops"
)

func TestImpossibleNetworksNameTheLayer(t *testing.T) {
	cases := []struct {
		name  string
		build func(g *Graph)
	}{
		{"big", func(g *Graph) { g.Conv("big", g.Input(3, 4, 4), Conv{Channels: 8, Kernel: 7, ReLU: true}) }},
		{"none", func(g *Graph) { g.Conv("none", g.Input(3, 4, 4), Conv{Channels: 0, Kernel: 1, ReLU: true}) }},
		{"pad", func(g *Graph) { g.MaxPool("pad", g.Input(3, 8, 8), ops.MaxPool{K: 2, Stride: 2, Pad: 2}) }},
		{"drop", func(g *Graph) { g.Dropout("drop", g.Input(3, 8, 8), 1) }},
		{"sum", func(g *Graph) {
			x := g.Input(3, 8, 8)
			g.Add("sum", ops.Add{}, x, g.AvgPool("half", x, ops.AvgPool{K: 2, Stride: 2}))
		}},
		{"input", func(g *Graph) { g.Input(3, 0, 8) }},
	}
	for _, c := range cases {
		g := NewGraph()
		c.build(g)
		if err := g.Err(); err == nil || !strings.HasPrefix(err.Error(), "layer "+c.name+": ") {
			t.Errorf("%s: error %v does not name the layer", c.name, err)
		}
	}
}

// branched is a network in which one activation is read by two layers.
func branched() (*Graph, *Node) {
	g := NewGraph()
	x := g.Conv("a", g.Input(3, 8, 8), Conv{Channels: 8, Kernel: 3, Pad: 1, ReLU: true})
	y := g.BatchNorm("c", g.Conv("b", x, Conv{Channels: 8, Kernel: 3, Pad: 1}), BatchNorm{ReLU: true})
	s := g.ReLU("d", g.Add("sum", ops.Add{}, x, y))
	s = g.Dropout("e", g.MaxPool("pool", s, ops.MaxPool{K: 2, Stride: 2}), 0.5)
	return g, g.GlobalAvgPool("out", g.Conv("f", s, Conv{Channels: 10, Kernel: 1}))
}

// dense is a network with joins in joins, a join of what a layer reads and writes, and one whose input is joined twice.
func dense() (*Graph, *Node) {
	g := NewGraph()
	x := g.Conv("a", g.Input(3, 8, 8), Conv{Channels: 8, Kernel: 3, Pad: 1})
	for _, name := range []string{"b", "c", "d"} {
		in := g.In(name)
		y := in.BatchNorm("norm", x, BatchNorm{ReLU: true})
		x = in.Concat("join", x, in.Conv("conv", y, Conv{Channels: 4, Kernel: 3, Pad: 1, NoBias: true}))
	}
	// one layer reads and writes the join
	x = g.Concat("direct", x, g.Conv("e", x, Conv{Channels: 4, Kernel: 1, ReLU: true}))
	x = g.Concat("twice", x, x, g.ReLU("f", x))
	return g, g.GlobalAvgPool("out", g.Conv("g", x, Conv{Channels: 10, Kernel: 1}))
}

func networks(t *testing.T) map[string]func() (*Graph, *Node) {
	t.Helper()
	all := map[string]func() (*Graph, *Node){
		"branched": branched, "dense": dense, "deep": func() (*Graph, *Node) { return deep(3) },
	}
	for name, build := range all {
		if g, _ := build(); g.Err() != nil {
			t.Fatalf("%s: %v", name, g.Err())
		}
	}
	return all
}

// remade is how much is computed once more rather than kept.
type remade int

const (
	nothing        remade = iota
	normalisations        // where that saves memory
	products              // and convolutions, whatever they cost
)

// forced plans with so much computed once more.
func forced(t *testing.T, r remade) {
	t.Helper()
	from, room, share := recomputeFrom, roomy, recomputeMost
	t.Cleanup(func() { recomputeFrom, roomy, recomputeMost = from, room, share })
	if r >= normalisations {
		recomputeFrom = 0
	}
	if r >= products {
		roomy, recomputeMost = 0, math.Inf(1)
	}
}

// deep is a network whose first layers take the most memory, so that the outputs of convolutions are worth computing
// once more: with normalisation, and with a ReLU of their own.
func deep(channels int) (*Graph, *Node) {
	g := NewGraph()
	x := g.Input(channels, 9, 9)
	for i, channels := range []int{24, 20, 12} {
		in := g.In(fmt.Sprintf("normed%d", i))
		x = in.BatchNorm("norm", in.Conv("conv", x, Conv{Channels: channels, Kernel: 1}), BatchNorm{ReLU: true})
	}
	x = g.MaxPool("pool", x, ops.MaxPool{K: 2, Stride: 1})
	for i, channels := range []int{24, 20, 12} {
		x = g.Conv(fmt.Sprintf("own%d", i), x, Conv{Channels: channels, Kernel: 3 - 2*(i%2), Pad: 1 - i%2, ReLU: true})
	}
	return g, g.Linear("last", g.AvgPool("average", x, ops.AvgPool{K: 2, Stride: 2}), Linear{Outputs: 5})
}

// trainedIf is what training changes, nil where nothing is trained.
func trainedIf(g *Graph, train bool) *learning {
	if !train {
		return nil
	}
	return g.learning(nil)
}

// Storages in one place must not be alive at the same time, and those that one step touches are in different buffers.
func TestPlanSharesNoLiveMemory(t *testing.T) {
	for name, build := range networks(t) {
		for _, train := range []bool{false, true} {
			for _, again := range []remade{nothing, normalisations, products} {
				g, out := build()
				forced(t, again)
				p := g.makePlan(4, []*Node{out}, trainedIf(g, train))
				shared := 0
				for i, a := range p.storages {
					if a.offset+a.size > p.buffers[a.buffer] || a.offset%256 != 0 {
						t.Errorf("storage %d of %d bytes is at %d of a buffer of %d", i, a.size, a.offset, p.buffers[a.buffer])
					}
					for j, b := range p.storages[:i] {
						if a.buffer != b.buffer {
							continue
						}
						shared++
						overlap := a.offset < b.offset+b.size && b.offset < a.offset+a.size
						if a.from <= b.to && b.from <= a.to && overlap {
							t.Errorf("%s, train %v: storages %d (steps %d to %d) and %d (steps %d to %d) share memory", name, train, i,
								a.from, a.to,
								j, b.from, b.to)
						}
						for at := range a.at {
							if _, both := b.at[at]; both && (a.at[at] == writes || b.at[at] == writes) {
								t.Errorf("%s, train %v: step %d writes to one of storages %d and %d of one buffer and touches the other",
									name, train, at, i, j)
							}
						}
					}
				}
				if shared == 0 {
					t.Errorf("%s, train %v: nothing is shared, so the plan is of no use", name, train)
				}
				if p.act[out.id] == p.grad[out.id] {
					t.Error("the logits and their gradient share memory")
				}
			}
		}
	}
}

// Layers write straight into a join of theirs, unless they read it too.
func TestPlanJoins(t *testing.T) {
	g, out := dense()
	p := g.makePlan(4, []*Node{out}, g.learning(nil))
	at := func(name string) home {
		i := slices.IndexFunc(g.nodes, func(x *Node) bool { return x.Name == name })
		return p.act[i]
	}
	root := at("d.join").storage
	for name, channel := range map[string]int{"a": 0, "b.conv": 8, "b.join": 0, "c.conv": 12, "d.conv": 16} {
		if h := at(name); h != (home{root, channel}) {
			t.Errorf("%s lies at %+v, want channel %d of storage %d", name, h, channel, root)
		}
	}
	if at("d.join").storage != at("direct").storage || at("e").storage == root {
		t.Errorf("the join %+v, what a layer makes of it %+v", at("direct"), at("e"))
	}
}

// What is kept lives to the end, in memory of its own.
func TestPlanKeeps(t *testing.T) {
	g, out := branched()
	sum := g.nodes[4]
	if sum.Name != "sum" {
		t.Fatalf("node 4 is %s", sum.Name)
	}
	ends := []*Node{out}
	without, with := g.makePlan(2, ends, nil), g.makePlan(2, ends, nil, sum)
	if without.act[sum.id] != without.act[sum.id+1] {
		t.Error("the ReLU after the sum does not work in place")
	}
	kept := with.act[sum.id].storage
	for i, s := range with.storages {
		if i != kept && s.buffer == with.storages[kept].buffer && s.offset == with.storages[kept].offset && s.to > sum.id {
			t.Errorf("storage %d, used until step %d, overwrites what is kept", i, s.to)
		}
	}
	if with.act[sum.id] == with.act[sum.id+1] {
		t.Error("the ReLU overwrites what is kept")
	}
}

// The input of a network has no gradient; everything that leads to a parameter has one.
func TestPlanHasGradientsWhereNeeded(t *testing.T) {
	g, out := branched()
	p := g.makePlan(2, []*Node{out}, g.learning(nil))
	for _, n := range g.nodes {
		if has, want := p.grad[n.id] != nowhere, n.id > 0; has != want {
			t.Errorf("layer %s: gradient planned %v, needed %v", n.Name, has, want)
		}
	}
	if p.spare < 0 {
		t.Error("an activation with two readers needs a second gradient to add")
	}
}

// Normalisations that backward reads once more take memory only while it does.
func TestPlanRecomputes(t *testing.T) {
	g, out := dense()
	with := g.makePlan(64, []*Node{out}, g.learning(nil))
	forced(t, normalisations)
	p := g.makePlan(64, []*Node{out}, g.learning(nil))
	if len(p.again) != 3 {
		t.Errorf("%d outputs are computed once more, want those of 3 normalisations", len(p.again))
	}
	for r := range p.again {
		if s := p.storages[p.act[r.node].storage]; s.to >= len(g.nodes) {
			t.Errorf("%s is kept until step %d", g.nodes[r.node].Name, s.to)
		}
	}
	if p.bytes() >= with.bytes() {
		t.Errorf("%d bytes, %d without", p.bytes(), with.bytes())
	}
}

// Where memory is scarce, convolutions are computed once more too, those that save most, up to a share of a step's
// products; a normalisation of what was made once more takes its place.
func TestPlanRecomputesProducts(t *testing.T) {
	g, out := deep(3)
	ends := []*Node{out}
	forced(t, normalisations)
	without := g.makePlan(64, ends, g.learning(nil))
	forced(t, products)
	all := g.plan(64, ends, g.learning(nil), make([]bool, len(g.nodes)), nil).recompute(ends)
	recomputeMost = 0.2
	some := g.plan(64, ends, g.learning(nil), make([]bool, len(g.nodes)), nil).recompute(ends)
	if most := some.products() / g.MultiplyAdds(); most == 0 || most > recomputeMost {
		t.Errorf("%.3f of the products are computed once more, want some and at most %.3f", most, recomputeMost)
	}
	before, _ := without.peak()
	middle, _ := some.peak()
	after, _ := all.peak()
	if before <= middle || middle <= after {
		t.Errorf("%d bytes without, %d with some, %d with all: not less each time", before, middle, after)
	}
	inPlace := false
	for r, h := range all.again {
		if x := g.nodes[r.node]; x.traits.againInPlace {
			inPlace = inPlace || h == all.again[reading{x.inputs[0].id, back(len(g.nodes), x.id+1, remaking)}]
		}
	}
	if !inPlace {
		t.Error("no normalisation takes the place of what it is made of")
	}
}

// Two layers of one name would share their weights in a file.
func TestNames(t *testing.T) {
	g := NewGraph()
	x := g.In("a").In("b").ReLU("c", g.Input(3, 4, 4))
	if x.Name != "a.b.c" {
		t.Errorf("the layer is called %s", x.Name)
	}
	g.In("a").ReLU("b.c", x)
	if err := g.Err(); err == nil || !strings.Contains(err.Error(), "layer a.b.c: another layer has this name") {
		t.Errorf("error %v", err)
	}
}

// Parameters beyond a binding are cut by outputs, in fours; those of a layer lie together.
func TestPlace(t *testing.T) {
	g := NewGraph()
	x := g.Conv("a", g.Input(3, 4, 4), Conv{Channels: 5, Kernel: 1})
	x = g.BatchNorm("b", x, BatchNorm{})
	x = g.Linear("c", x, Linear{Outputs: 11, ReLU: true})
	g.Linear("d", x, Linear{Outputs: 3})
	const most = 400
	p, err := g.place(most, g.learning(nil))
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range p.parts {
		if n.floats > most || n.floats%4 != 0 || n.trained != n.floats {
			t.Errorf("part %d is %+v", i, n)
		}
	}
	var rows []int
	for _, q := range p.pieces[3] {
		rows = append(rows, q.to-q.from)
	}
	if diff := cmp.Diff([]int{4, 4, 3}, rows); diff != "" {
		t.Errorf("outputs of c (-want +got):\n%s", diff)
	}
	if len(p.params) != len(g.Params()) || p.running != 10 {
		t.Errorf("%d parameters, %d running values", len(p.params), p.running)
	}
	for i, q := range p.params {
		n := 0
		for _, at := range q.at {
			n += at.Len
		}
		if n != q.Len() && q.Role != BatchesTracked || q.Name != g.Params()[i].Name {
			t.Errorf("parameter %s of %d values is %d", q.Name, q.Len(), n)
		}
	}
	if _, err := g.place(300, g.learning(nil)); err == nil || !strings.Contains(err.Error(),
		"layer c: the parameters of four outputs") {
		t.Errorf("error %v", err)
	}
	if _, err := g.place(8, g.learning(nil)); err == nil || !strings.Contains(err.Error(), "layer a: its parameters") {
		t.Errorf("error %v", err)
	}
}
