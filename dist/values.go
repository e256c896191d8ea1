package dist

import (
	"bytes"
	"encoding/gob"
	"fmt"
)

// Values is every rank's value, in the order of ranks, at every rank. It is a value that package gob takes.
func Values[T any](g Group, own T) ([]T, error) {
	if g.Size() == 1 {
		return []T{own}, nil
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(own); err != nil {
		return nil, err
	}
	texts, err := g.Gather(b.Bytes())
	if err != nil {
		return nil, err
	}
	all := make([]T, len(texts))
	for i, text := range texts {
		if err := gob.NewDecoder(bytes.NewReader(text)).Decode(&all[i]); err != nil {
			return nil, fmt.Errorf("what rank %d sent can't be read: %w", i, err)
		}
	}
	return all, nil
}

// First is the value that rank 0 makes, at every rank. Only rank 0 is asked; where it fails, it alone returns, with its
// error, and the others wait.
func First[T any](g Group, make func() (T, error)) (v T, err error) {
	if g.Rank() == 0 {
		if v, err = make(); err != nil || g.Size() == 1 {
			return v, err
		}
	}
	type value struct{ Of0 []T } // empty but for rank 0: others have nothing to send
	own := value{}
	if g.Rank() == 0 {
		own.Of0 = []T{v}
	}
	all, err := Values(g, own)
	if err != nil {
		return v, err
	}
	return all[0].Of0[0], nil
}
