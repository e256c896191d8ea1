// Package tune chooses among the variants of a pass by measuring them on the adapter. It keeps what it measured. Passes
// are those of convolutions and linear layers.
package tune

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"ninvk/gpu"
	"ninvk/nn"
	"ninvk/ops"
)

// Call is one pass of an operator for input In, of the network's largest batch.
type Call struct {
	Pass ops.Pass
	Op   ops.Varied
	In   ops.Shape
}

// Key is the call's name in tables of choices, see ops.ConvCall.Key.
func (c Call) Key() string { return c.Op.Key(c.Pass, c.In) }

// one is the call for a single image.
func (c Call) one() Call {
	c.In.N = 1
	return c
}

// Calls lists the passes of a network that have variants, each once: forward alone, or all that a training step runs.
func Calls(g *nn.Graph, batch int, train bool) []Call {
	var calls []Call
	seen := map[string]bool{}
	learns := map[*nn.Node]bool{} // it, or a layer before it, has weights: its gradient is wanted
	for _, n := range g.Nodes() {
		for _, p := range n.Params() {
			learns[n] = learns[n] || p.Trained()
		}
		for _, in := range n.Inputs() {
			learns[n] = learns[n] || learns[in]
		}
		op, ok := n.Op().(ops.Varied)
		if !ok {
			continue
		}
		in := n.Inputs()[0]
		x := in.Shape
		x.N = batch
		forward, inputGrad, weightGrad := op.Passes()
		passes := []ops.Pass{forward}
		if train && learns[in] {
			passes = append(passes, inputGrad)
		}
		if train {
			passes = append(passes, weightGrad)
		}
		for _, p := range passes {
			if c := (Call{p, op, x}); !seen[c.Key()] {
				seen[c.Key()] = true
				calls = append(calls, c)
			}
		}
	}
	return calls
}

// Options say how choices are made.
type Options struct {
	Budget   time.Duration // no call is begun after so long; 0 for Budget
	KeptOnly bool          // measure nothing: what was not measured before is up to the heuristic
	AnyBatch bool          // a choice measured at another batch size will do
	Progress func(done, total int)
	Warn     func(message string) // a line for the user
}

// Budget is the time for the calls of one network. The call begun last may go beyond it, by the time that its kernels
// take to compile.
const Budget = 45 * time.Second

// shape names the call's shape, whatever the batch.
func (c Call) shape() string {
	_, shape := Split(c.Key())
	_, shape, _ = strings.Cut(shape, "×")
	return shape
}

// Choose returns the variants for the calls by their keys: those measured on this adapter before, and on GPUs else
// those it measures now and keeps. What is missing from the result is up to the heuristic. The error is that of the
// adapter or of ctx.
func Choose(ctx context.Context, d *gpu.Device, calls []Call, o Options) (map[string]string, error) {
	kept := map[string]Entry{}
	path, err := File(d.Adapter)
	if err == nil {
		kept, err = Load(path, d.Adapter)
	}
	if err != nil {
		again := "they are measured again"
		if d.Adapter.CPU() || o.KeptOnly {
			again = "the usual kernels are used until ninvk tune measures again"
			if path != "" {
				_ = Save(path, d.Adapter, nil) // so that it is told once
			}
		}
		o.Warn(fmt.Sprintf("measured choices of kernels can't be used: %v; %s", err, again))
	}
	chosen := map[string]string{}
	var missing []Call
	var nearest map[string]Entry // by the call's key for one image
	if o.AnyBatch {
		nearest = byShape(kept)
	}
	for _, c := range calls {
		if e, ok := kept[c.Key()]; ok {
			chosen[c.Key()] = e.Chosen
		} else if e, ok := nearest[c.one().Key()]; ok {
			chosen[c.Key()] = e.Chosen
		} else if !d.Adapter.CPU() && !o.KeptOnly {
			missing = append(missing, c)
		}
	}
	if len(missing) == 0 {
		return chosen, nil
	}
	measured, err := Measure(ctx, d, missing, o)
	for _, e := range measured {
		chosen[e.Key] = e.Chosen
	}
	if e := keep(path, d.Adapter, measured); e != nil {
		o.Warn(fmt.Sprintf("the measured choices of kernels are not kept: %v", e))
	}
	return chosen, err
}

// byShape files entries under their calls' keys for one image. Of several batch sizes the one measured with the largest
// stays.
func byShape(kept map[string]Entry) map[string]Entry {
	found, batches := map[string]Entry{}, map[string]int{}
	for key, e := range kept {
		pass, shape := Split(key)
		n, rest, ok := strings.Cut(shape, "×")
		batch, err := strconv.Atoi(n)
		if !ok || err != nil {
			continue
		}
		one := pass + " 1×" + rest
		if batch > batches[one] {
			found[one], batches[one] = e, batch
		}
	}
	return found
}

// Share adds the choices kept for an adapter in one user's cache directory to those in another's; "" is the directory
// of this process. There need not be any.
func Share(from, to string, a gpu.Adapter) error {
	source, err := fileIn(from, a)
	if err != nil {
		return err
	}
	entries, err := Load(source, a)
	if err != nil || len(entries) == 0 {
		return err
	}
	target, err := fileIn(to, a)
	if err != nil {
		return err
	}
	return Save(target, a, slices.Collect(maps.Values(entries)))
}

// keep is Save where there is something to keep and a place for it.
func keep(path string, a gpu.Adapter, entries []Entry) error {
	if path == "" || len(entries) == 0 {
		return nil
	}
	return Save(path, a, entries)
}

// Split is a key's pass and shape.
func Split(key string) (pass, shape string) {
	pass, shape, _ = strings.Cut(key, " ")
	return pass, shape
}
