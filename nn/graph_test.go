package nn

import (
	"strings"
	"testing"

	"ninvk/ops"
)

func TestImpossibleNetworksNameTheLayer(t *testing.T) {
	cases := []struct {
		name  string
		build func(g *Graph)
	}{
		{"big", func(g *Graph) { g.Conv("big", g.Input(3, 4, 4), 8, 7, 1, 0, true) }},
		{"none", func(g *Graph) { g.Conv("none", g.Input(3, 4, 4), 0, 1, 1, 0, true) }},
		{"pad", func(g *Graph) { g.MaxPool("pad", g.Input(3, 8, 8), ops.MaxPool{K: 2, Stride: 2, Pad: 2}) }},
		{"drop", func(g *Graph) { g.Dropout("drop", g.Input(3, 8, 8), 1) }},
		{"sum", func(g *Graph) {
			x := g.Input(3, 8, 8)
			g.Add("sum", x, g.AvgPool("half", x, 2, 2, 0))
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
	x := g.Conv("a", g.Input(3, 8, 8), 8, 3, 1, 1, true)
	y := g.BatchNorm("c", g.Conv("b", x, 8, 3, 1, 1, false), true)
	s := g.ReLU("d", g.Add("sum", x, y))
	s = g.Dropout("e", g.MaxPool("pool", s, ops.MaxPool{K: 2, Stride: 2}), 0.5)
	return g, g.GlobalAvgPool("out", g.Conv("f", s, 10, 1, 1, 0, false))
}

// Storages that share a buffer must not be alive at the same time, and the buffer must hold each.
func TestPlanSharesNoLiveMemory(t *testing.T) {
	for _, train := range []bool{false, true} {
		g, out := branched()
		if err := g.Err(); err != nil {
			t.Fatal(err)
		}
		p := g.makePlan(4, out, train)
		shared := 0
		for i, a := range p.storages {
			if a.size > p.buffers[a.buffer] {
				t.Errorf("storage %d of %d bytes is in a buffer of %d", i, a.size, p.buffers[a.buffer])
			}
			for j, b := range p.storages[:i] {
				if a.buffer != b.buffer {
					continue
				}
				shared++
				if a.from <= b.to && b.from <= a.to {
					t.Errorf("train %v: storages %d (steps %d to %d) and %d (steps %d to %d) share buffer %d", train, i, a.from, a.to, j, b.from, b.to, a.buffer)
				}
			}
		}
		if shared == 0 {
			t.Errorf("train %v: nothing is shared, so the plan is of no use", train)
		}
		if p.act[out.id] == p.grad[out.id] {
			t.Error("the logits and their gradient share memory")
		}
	}
}

// What is kept lives to the end, in memory of its own.
func TestPlanKeeps(t *testing.T) {
	g, out := branched()
	sum := g.nodes[4]
	if sum.Name != "sum" {
		t.Fatalf("node 4 is %s", sum.Name)
	}
	without, with := g.makePlan(2, out, false), g.makePlan(2, out, false, sum)
	if without.act[sum.id] != without.act[sum.id+1] {
		t.Error("the ReLU after the sum does not work in place")
	}
	kept := with.act[sum.id]
	for i, s := range with.storages {
		if i != kept && s.buffer == with.storages[kept].buffer && s.to > sum.id {
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
	p := g.makePlan(2, out, true)
	for _, n := range g.nodes {
		if has, want := p.grad[n.id] >= 0, n.needsGrad(); has != want {
			t.Errorf("layer %s: gradient planned %v, needed %v", n.Name, has, want)
		}
	}
	if p.spare < 0 {
		t.Error("an activation with two readers needs a second gradient to add")
	}
}
