package nn

import (
	"fmt"

	"ninvk/gpu"
)

// State is all that training changes in a network: what a later step depends on, besides its number.
type State struct {
	Values  [][]float32 // parameters and running values in the order of Params, row-major; nil for counts
	Momenta [][]float32 // of the trained parameters, likewise; nil elsewhere
	Average [][]float32 // of Values over the steps; nil without averaging
	Tracked int64       // training batches that the batch normalisations have seen
}

// Final are the values to evaluate with and to keep: the averages where there are any.
func (s *State) Final() [][]float32 {
	if s.Average != nil {
		return s.Average
	}
	return s.Values
}

// Snapshot is a State on its way from the adapter: a copy made behind the steps submitted before, while later ones go
// on.
type Snapshot struct {
	n       *Net
	tracked int64
}

// Snapshot submits a copy of the state as it is after the steps submitted so far. One snapshot can be under way at a
// time; the copy's memory is kept for the next one.
func (n *Net) Snapshot() (*Snapshot, error) {
	if !n.Options.Train {
		return nil, fmt.Errorf("a snapshot of a network that is not trained")
	}
	if n.copyTape == nil {
		t := n.dev.NewTape("snapshot")
		copied := []*gpu.Buffer{n.state}
		for _, p := range n.parts {
			copied = append(copied, p.weights)
		}
		for _, p := range n.trainedParts() {
			copied = append(copied, p.velocity)
		}
		if n.averaging() {
			copied = append(copied, n.averageState)
			for _, p := range n.parts {
				copied = append(copied, p.average)
			}
		}
		for _, b := range copied {
			r, err := n.dev.NewReadback("copy of "+b.Label, b.Size)
			if err != nil {
				return nil, err
			}
			n.copies = append(n.copies, r)
			t.Copy(b, 0, r.Target(), 0, b.Size)
		}
		n.copyTape = t
	}
	for _, r := range n.copies {
		if r.Busy() {
			return nil, fmt.Errorf("a snapshot is under way already")
		}
	}
	if err := n.dev.Submit(n.copyTape); err != nil {
		return nil, err
	}
	for _, r := range n.copies {
		r.Start()
	}
	return &Snapshot{n, n.tracked}, nil
}

// Ready says, without waiting, whether Wait would return at once.
func (s *Snapshot) Ready() bool {
	for _, r := range s.n.copies {
		if !r.Ready() {
			return false
		}
	}
	return true
}

// Wait waits for the steps before the snapshot, not for later ones, and returns the state.
func (s *Snapshot) Wait() (*State, error) {
	n := s.n
	floats := make([][]float32, len(n.copies))
	for i, r := range n.copies {
		v := make([]float32, r.Target().Size/4)
		if err := r.Wait(gpu.Bytes(v)); err != nil {
			return nil, err
		}
		floats[i] = v
	}
	next := func() []float32 {
		v := floats[0]
		floats = floats[1:]
		return v
	}
	running := next()
	weights, momenta := make([][]float32, len(n.parts)), make([][]float32, len(n.parts))
	for i := range n.parts {
		weights[i] = next()
	}
	for i, p := range n.parts {
		if p.trained > 0 {
			momenta[i] = next()
		}
	}
	state := &State{
		Values: n.placed.split(weights, running), Momenta: n.placed.splitTrained(momenta), Tracked: s.tracked,
	}
	if n.averaging() {
		running = next()
		averages := make([][]float32, len(n.parts))
		for i := range n.parts {
			averages[i] = next()
		}
		state.Average = n.placed.split(averages, running)
	}
	return state, nil
}

// SetState puts a state back before everything submitted later. Its sizes must be those of Params; without averages
// they start from the values.
func (n *Net) SetState(s *State) error {
	for i, p := range n.placed.params {
		if p.Role == BatchesTracked {
			continue
		}
		if err := n.SetParam(i, s.Values[i]); err != nil {
			return err
		}
		if n.averaging() && s.Average != nil {
			if a := s.Average[i]; len(a) != p.Len() {
				return fmt.Errorf("parameter %s has %d values, %d averages given", p.Name, p.Len(), len(a))
			}
			if err := n.write(p, s.Average[i], n.averagesAt); err != nil {
				return err
			}
		}
		if !p.Trained() {
			continue
		}
		if m := s.Momenta[i]; len(m) != p.Len() {
			return fmt.Errorf("parameter %s has %d values, %d momenta given", p.Name, p.Len(), len(m))
		}
		if err := n.write(p, s.Momenta[i], n.momentaAt); err != nil {
			return err
		}
	}
	n.tracked = s.Tracked
	return nil
}
