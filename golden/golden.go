// Package golden has what PyTorch computes of every network, to compare an adapter's results with. The values are
// float64, from images and weights that a formula makes: logits, losses, and every gradient. models/testdata/zoo.py
// writes the files.
package golden

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"embed"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"path"
	"strings"
)

//go:embed zoo/*.json.gz
var files embed.FS

// Network is PyTorch's run of a network in float64, and how far those in float32 end from it.
type Network struct {
	Name        string `json:"-"` // of the file: the model, with what it has beside
	Model       string
	Size, Batch int
	Rate, Aux   float64 // learning rate, and weight of the losses of auxiliary heads
	Tensors     []Tensor
	Parameters  struct {
		Ten      int `json:"10"`
		Thousand int `json:"1000"`
	}
	Init       Floats // mean, deviation and kurtosis of each tensor as its constructor draws it
	Losses     []float64
	LossesAway []float64    `json:"losses_away"`
	Logits     [2][]float64 // before and after
	LogitsAway [2]float64   `json:"logits_away"`
	Sketches   Floats       // of each tensor: sum, norm, greatest distance, norm of the distances, values
}

// Tensor is an entry of a state_dict.
type Tensor struct {
	Name  string
	Shape []int
}

// UnmarshalJSON reads [name, shape].
func (t *Tensor) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &[]any{&t.Name, &t.Shape}) }

func (t Tensor) String() string { return fmt.Sprintf("%s %v", t.Name, t.Shape) }

// Floats are little-endian float32 in base64.
type Floats []float32

// UnmarshalText decodes them.
func (f *Floats) UnmarshalText(b []byte) error {
	raw, err := base64.StdEncoding.DecodeString(string(b))
	*f = make(Floats, len(raw)/4)
	return cmp.Or(err, binary.Read(bytes.NewReader(raw), binary.LittleEndian, *f))
}

const suffix = ".json.gz"

// Names lists the networks that there is a run of. What comes behind a plus sign is a way in which a model is built.
func Names() []string {
	entries, err := files.ReadDir("zoo")
	if err != nil {
		panic(err) // they are embedded
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), suffix))
	}
	return names
}

// Of lists the names of a model's runs.
func Of(model string) []string {
	var names []string
	for _, name := range Names() {
		if plain, _, _ := strings.Cut(name, "+"); plain == model {
			names = append(names, name)
		}
	}
	return names
}

// Read is the run of a network, one of Names.
func Read(name string) (*Network, error) {
	f, err := files.Open(path.Join("zoo", name+suffix))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	n := &Network{Name: name}
	if err := json.NewDecoder(r).Decode(n); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return n, nil
}
