package models

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ninvk/nn"
	"ninvk/safetensors"
)

// Given is what the user says of a weights file. It wins over what the file tells; what is empty is left to the file.
type Given struct {
	Model     string
	Size      int // pixels a side of the input
	Classes   []string
	Mean, Std []float64 // of each channel, or one number for all
}

// Network is a weights file with the network that it fits, and what that network takes and tells.
type Network struct {
	Metadata
	Path    string            // of the file, for messages
	File    *safetensors.File // the network's tensors under its names, with the file's types and metadata
	Graph   *nn.Graph
	Logits  *nn.Node
	Weights *Weights

	Done []string // what was done to find the weights in the file, in words; empty where it is of our own kind
	Rows []Row    // what the file holds

	known map[string]bool // keys of the metadata that the file or the user told
}

// Row is what became of an entry of a weights file.
type Row struct {
	Name  string // in the file
	Kind  string // a tensor's type, or what else it is
	Shape []int  // of a tensor, else nil
	As    string // the network's name for it; "" where it was passed over
}

// ClassesError says that names were given for another number of classes than a network has.
type ClassesError struct {
	Path        string
	Have, Given int
}

func (e *ClassesError) Error() string {
	return fmt.Sprintf("%s has %d classes, but %d are named", e.Path, e.Have, e.Given)
}

// OpenNetwork reads a weights file of any format (see ReadFile), and builds its network as File.Network does.
func OpenNetwork(path string, given Given) (*Network, error) {
	f, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	return f.Network(given)
}

// NewNetwork is OpenNetwork for the content of a safetensors file that was read from path.
func NewNetwork(path string, f *safetensors.File, given Given) (*Network, error) {
	return FileOf(path, f).Network(given)
}

// Network builds the network of a weights file: the model that is given, else told, else the one whose parameters the
// file's tensors are, whatever prefix their names have in common, and with other things beside them. Nothing of an
// adapter is needed. What in the file does not suit is a *WeightsError, names for another number of classes a
// *ClassesError.
func (f *File) Network(given Given) (*Network, error) {
	best, others, err := f.choose(given.Model, table)
	if err != nil {
		return nil, err
	}
	if given.Classes != nil && len(given.Classes) != best.classes() {
		return nil, &ClassesError{f.Path, best.classes(), len(given.Classes)}
	}
	if err := checkGiven(f.Path, best.channels(), given); err != nil {
		return nil, err
	}
	n := &Network{Path: f.Path, Metadata: Metadata{Model: best.name, Channels: best.channels(), Fit: UsualFit(best.name)},
		known: map[string]bool{}}
	n.Mean, n.Std = Normalisation(n.Channels)
	if err := n.read(f.Metadata, best.classes(), given); err != nil {
		return nil, f.bad("its metadata: %v", err)
	}
	if n.Graph, n.Logits, err = Build(n.config()); err != nil {
		return nil, err
	}
	if n.File, err = f.take(best); err != nil {
		return nil, err
	}
	if n.Weights, err = checkWeights(f.Path, n.File, n.Graph); err != nil {
		return nil, err
	}
	n.Done, n.Rows = f.done(best, others), best.rows()
	if n.Weights.countLost {
		n.Done = append(n.Done, "the number of batches seen is no whole number, so 0 is taken")
	}
	return n, nil
}

// config is what the network's graph is built for.
func (n *Network) config() Config {
	return Config{Model: n.Model, Classes: len(n.Classes), Size: n.Size, Channels: n.Channels}
}

// checkGiven says which of the given values are none for images of so many channels.
func checkGiven(path string, channels int, given Given) error {
	for _, x := range []struct {
		name  string
		value []float64
	}{{"mean", given.Mean}, {"std", given.Std}} {
		if x.value == nil {
			continue
		}
		if _, err := Spread(x.value, channels); err != nil {
			return &ValuesError{Path: path, Name: x.name, Problem: err.Error(), Value: Values(x.value)}
		}
	}
	return nil
}

// ValuesError says that a mean or deviation was given that is not one for the channels of a network's images.
type ValuesError struct{ Path, Name, Value, Problem string }

func (e *ValuesError) Error() string {
	return fmt.Sprintf("--%s %s %s (%s)", e.Name, e.Value, e.Problem, e.Path)
}

// Told says whether the file or the user told what stands under a key of the metadata, so that it is not merely
// assumed.
func (n *Network) Told(key string) bool { return n.known[key] }

// NameClasses names the classes as a data set does, where neither the file nor the user told their names. Another
// number of classes is a *ClassesError.
func (n *Network) NameClasses(names []string) error {
	if len(names) != len(n.Classes) {
		return &ClassesError{n.Path, len(n.Classes), len(names)}
	}
	if !n.Told(ClassesKey) {
		n.Classes, n.known[ClassesKey] = names, true
	}
	return nil
}

// OtherNames says in a sentence that a data set with as many classes names them differently; "" where it does not.
func (n *Network) OtherNames(names []string, data string) string {
	for i, name := range n.Classes {
		if name != names[i] {
			return fmt.Sprintf("class %d is %s to %s and %s to the data set %s; classes are taken by their number", i,
				name, n.Path, names[i], data)
		}
	}
	return ""
}

// Assumed says in a sentence what was assumed of the network because nobody told it; "" where all was told. Nothing is
// said of keys that don't matter.
func (n *Network) Assumed(except ...string) string {
	assumed := func(key string) bool { return !n.Told(key) && !slices.Contains(except, key) }
	var what, flags []string
	if assumed(MeanKey) {
		what, flags = append(what, "mean "+Values(n.Mean)), append(flags, "--mean")
	}
	if assumed(StdKey) {
		what, flags = append(what, "deviation "+Values(n.Std)), append(flags, "--std")
	}
	if assumed(ClassesKey) {
		names := strings.Join(n.Classes[:min(len(n.Classes), 3)], ", ")
		if len(n.Classes) > 3 {
			names += ", …"
		}
		what = append(what, fmt.Sprintf("%d classes named %s", len(n.Classes), names))
		flags = append(flags, "--classes")
	}
	if assumed(SizeKey) {
		what = append(what, fmt.Sprintf("input of %d×%[1]d pixels", n.Size))
	}
	if len(what) == 0 {
		return ""
	}
	s := fmt.Sprintf("%s does not tell all; assumed: %s", n.Path, strings.Join(what, "; "))
	if len(flags) > 0 {
		s += " (flags: " + strings.Join(flags, ", ") + ")"
	}
	return s
}

// Notes are what a reader of the weights should know, a sentence each: what was done to find them, and what was
// assumed, see Assumed.
func (n *Network) Notes(except ...string) []string {
	return slices.DeleteFunc([]string{n.Found(), n.Assumed(except...)}, func(s string) bool { return s == "" })
}

// Found says in a sentence what was done to find the weights in their file; "" where that was nothing.
func (n *Network) Found() string {
	if len(n.Done) == 0 {
		return ""
	}
	return n.Path + ": " + strings.Join(n.Done, "; ")
}

// Content is the network's weights file: float32 under the network's names, and what is known of it as metadata. What
// was assumed is left out, so that whoever reads the file is told again.
func (n *Network) Content() *safetensors.File {
	metadata := map[string]string{"format": "pt"}
	maps.Copy(metadata, n.File.Metadata)
	all := n.Metadata.Text()
	metadata[ModelKey] = all[ModelKey]
	for key, known := range n.known {
		if known {
			metadata[key] = all[key]
		}
	}
	out := &safetensors.File{Metadata: metadata}
	for i, p := range n.Graph.Params() {
		if p.Role != nn.BatchesTracked {
			out.Tensors = append(out.Tensors, safetensors.FromFloat32s(p.Name, p.Shape, n.Weights.values[i]))
		} else if _, ok := n.File.Tensor(p.Name); ok {
			out.Tensors = append(out.Tensors, safetensors.FromInt64(p.Name, n.Weights.tracked))
		}
	}
	return out
}

// SHA256 is a checksum, in hex, of the names, types, shapes and values of the weights, whatever kind of file they came
// in: that of a safetensors file which holds them in the order of their names, without metadata.
func (n *Network) SHA256() (string, error) {
	sorted := slices.SortedFunc(slices.Values(n.File.Tensors),
		func(a, b safetensors.Tensor) int { return strings.Compare(a.Name, b.Name) })
	b, err := safetensors.Encode(&safetensors.File{Tensors: sorted})
	if err != nil {
		return "", &WeightsError{Path: n.Path, Problem: err.Error()}
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
