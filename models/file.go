package models

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"ninvk/pth"
	"ninvk/safetensors"
)

// maxFile is the largest weights file that is read, in bytes.
const maxFile = 1 << 30

// File is what a weights file holds: one or more sets of named tensors, such as the state_dict and the averaged one
// of a checkpoint.
type File struct {
	Path     string            // for messages
	Metadata map[string]string // of a safetensors file

	sets  []tensorSet
	notes []string // what is odd about the file
}

// tensorSet is a number of named tensors.
type tensorSet struct {
	key     string // where in the file it lies; "" for the whole
	tensors []tensor
	beside  func() []pth.Entry // what the file holds besides
	note    string             // what was done to find the tensors; "" for nothing
}

// tensor is one whose values are not read yet.
type tensor struct {
	name, dtype string
	shape       []int
	read        func() (safetensors.Tensor, error)
}

func (t tensor) String() string { return fmt.Sprintf("%s %v", shown(t.name), t.shape) }

// ReadFile reads a weights file, or embedded weights by their name, Embedded or one of EmbeddedNames: safetensors, or a
// file of PyTorch's torch.save (see package pth). A file that can't be read, or is none, is a *WeightsError, one of
// these formats that is damaged the format's own error.
func ReadFile(path string) (*File, error) {
	if name := embeddedName(path); name != "" {
		b, err := readEmbedded(name)
		if err != nil {
			return nil, err
		}
		f, err := safetensors.Decode(b)
		if err != nil {
			return nil, &WeightsError{Path: EmbeddedPath(name), Problem: err.Error()}
		}
		return FileOf(EmbeddedPath(name), f), nil
	}
	b, err := content(path)
	if err != nil {
		return nil, err
	}
	if pth.Is(b) {
		c, err := pth.Decode(b)
		if e := (*pth.FormatError)(nil); errors.As(err, &e) {
			e.Path = path
		}
		if err != nil {
			return nil, err
		}
		return ofCheckpoint(path, c), nil
	}
	if what := foreign(b); what != "" {
		return nil, &WeightsError{Path: path, Problem: what}
	}
	f, err := safetensors.Decode(b)
	if e := (*safetensors.FormatError)(nil); errors.As(err, &e) {
		e.Path = path
	}
	if err != nil {
		return nil, err
	}
	return FileOf(path, f), nil
}

// content reads a whole file, of bounded size. Pipes and devices may have no end.
func content(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		problem := "is not a regular file; weights are read from files alone"
		if info.IsDir() {
			problem = "is a directory"
		}
		return nil, &WeightsError{Path: path, Problem: problem}
	}
	if err == nil && info.Size() > maxFile {
		return nil, &WeightsError{Path: path, Problem: fmt.Sprintf("it has %d bytes; weights of at most %d are read",
			info.Size(), maxFile)}
	}
	if errors.Is(err, fs.ErrNotExist) && slices.Contains(Names(), path) {
		return nil, &WeightsError{Path: path, Err: err, Problem: fmt.Sprintf("there is no such file, and the program has no "+
			"weights of this network: it has those of %s", strings.Join(EmbeddedNames, ", "))}
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	b := make([]byte, info.Size())
	n, err := io.ReadFull(f, b)
	// a file that becomes shorter is judged by what is there
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, unreadable(path, err)
	}
	return b[:n], nil
}

// unreadable is an error of the operating system about a weights file as a *WeightsError.
func unreadable(path string, err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return &WeightsError{Path: path, Problem: e.Err.Error(), Err: err}
	}
	return &WeightsError{Path: path, Problem: err.Error(), Err: err}
}

// A checkpoint of training is a safetensors file that has CheckpointKey among its metadata. Beside the weights it holds
// the momenta under names behind MomentumPrefix, and where weights are averaged, the averages behind AveragePrefix.
const (
	CheckpointKey  = "ninvk.checkpoint"
	MomentumPrefix = "momentum."
	AveragePrefix  = "average."
)

// weightsOf are the tensors of a file that are a network's weights, of a checkpoint those that the run's weights file
// would hold.
func weightsOf(f *safetensors.File) []safetensors.Tensor {
	if _, checkpoint := f.Metadata[CheckpointKey]; !checkpoint {
		return f.Tensors
	}
	var weights []safetensors.Tensor
	for _, t := range f.Tensors {
		if strings.HasPrefix(t.Name, MomentumPrefix) || strings.HasPrefix(t.Name, AveragePrefix) {
			continue
		}
		if a, averaged := f.Tensor(AveragePrefix + t.Name); averaged {
			a.Name = t.Name
			t = a
		}
		weights = append(weights, t)
	}
	return weights
}

// FileOf is the content of a safetensors file that was read from path.
func FileOf(path string, f *safetensors.File) *File {
	set := tensorSet{beside: func() []pth.Entry { return nil }}
	for _, t := range weightsOf(f) {
		set.tensors = append(set.tensors, tensor{t.Name, t.DType, t.Shape, func() (safetensors.Tensor, error) {
			return t,
				nil
		}})
	}
	return &File{Path: path, Metadata: f.Metadata, sets: []tensorSet{set}}
}

func ofCheckpoint(path string, c *pth.Checkpoint) *File {
	out := &File{Path: path}
	if c.Format != "PyTorch" {
		out.notes = append(out.notes, "in the format of "+c.Format)
	} else if c.Unchecked {
		out.notes = append(out.notes, "without checksums, so that damage would not show")
	}
	for _, set := range c.Sets {
		x := tensorSet{key: set.Key(), beside: set.Beside}
		if class := set.Model(); class != "" {
			x.note = fmt.Sprintf("weights taken from a whole model (%s), which was not run", shown(class))
		}
		for _, t := range set.Tensors {
			x.tensors = append(x.tensors, tensor{t.Name, t.DType, t.Shape, func() (safetensors.Tensor, error) {
				s, err := t.Read()
				if e := (*pth.FormatError)(nil); errors.As(err, &e) {
					e.Path = path
				}
				return s, err
			}})
		}
		out.sets = append(out.sets, x)
	}
	return out
}
