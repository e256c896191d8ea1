package nin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ninvk/cifar10"
	"ninvk/nn"
	"ninvk/safetensors"
)

// Keys of a weights file's metadata. A file without them is taken as one of CIFAR-10 at the model's own size.
const (
	ModelKey   = "ninvk.model"   // one of Models
	SizeKey    = "ninvk.size"    // pixels a side of the input
	ClassesKey = "ninvk.classes" // names by index, a JSON list
	MeanKey    = "ninvk.mean"    // of red, green and blue, 0 to 1, a JSON list
	StdKey     = "ninvk.std"     // likewise
)

// maxSize is the largest input that a weights file may ask for.
const maxSize = 4096

// Network is a weights file with the network that it fits, and what that network takes and tells.
type Network struct {
	Path    string // of the file, for messages
	File    *safetensors.File
	Model   string
	Size    int      // pixels a side of the input
	Classes []string // names by index
	Mean    [3]float64
	Std     [3]float64
	Graph   *nn.Graph
	Logits  *nn.Node
	Weights *Weights
}

// UntoldModelError says that a weights file does not tell which network it is of.
type UntoldModelError struct{ Path string }

func (e *UntoldModelError) Error() string {
	return fmt.Sprintf("%s does not tell which network it is of; give --model", e.Path)
}

// DefaultSize is the pixels a side of the images that a model is for; 0 for those of the data.
func DefaultSize(model string) int {
	if model == "nin-imagenet" {
		return 224
	}
	return 0
}

// OpenNetwork reads a weights file of either format (see ReadFile), and checks it as NewNetwork does.
func OpenNetwork(path, model string, size int) (*Network, error) {
	f, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	return NewNetwork(path, f, model, size)
}

// mostClasses bounds what a broken file can ask for; ImageNet in full has 21,841.
const mostClasses = 100_000

// NewNetwork builds the network of a weights file that was read from path: model, or if that is empty the one that the file tells, for an input of size×size pixels, or if
// that is 0 of the size that the file tells, else of the model's own. Nothing of an adapter is needed. What in the file does not suit is a *WeightsError.
func NewNetwork(path string, f *safetensors.File, model string, size int) (*Network, error) {
	found, classes, err := ModelOf(path, f)
	if err != nil {
		return nil, err
	}
	if model == "" {
		model = found
	}
	if model == "" {
		return nil, &UntoldModelError{path}
	}
	n := &Network{Path: path, File: f, Model: model, Size: size, Mean: cifar10.Mean, Std: cifar10.Std}
	if classes == 0 {
		classes = cifar10.Classes
	}
	if classes > mostClasses {
		return nil, &WeightsError{Path: path, Problem: fmt.Sprintf("its last layer has %d classes; at most %d are read", classes, mostClasses)}
	}
	if err := n.metadata(classes); err != nil {
		return nil, &WeightsError{Path: path, Problem: "its metadata: " + err.Error()}
	}
	if n.Graph, n.Logits, err = Build(Config{Model: n.Model, Classes: len(n.Classes), Size: n.Size}); err != nil {
		return nil, err
	}
	n.Weights, err = CheckWeights(path, f, n.Graph)
	return n, err
}

// metadata reads what the file tells, and puts the usual in the place of what it does not.
func (n *Network) metadata(classes int) error {
	if text, ok := n.File.Metadata[SizeKey]; ok {
		size, err := strconv.Atoi(text)
		if err != nil || size < 1 || size > maxSize {
			return fmt.Errorf("%s is %q, a number of pixels up to %d is expected", SizeKey, text, maxSize)
		}
		if n.Size == 0 && n.Model == n.File.Metadata[ModelKey] {
			n.Size = size
		}
	}
	if n.Size == 0 {
		n.Size = DefaultSize(n.Model)
	}
	if n.Size == 0 {
		n.Size = cifar10.Width
	}
	for _, x := range []struct {
		key         string
		to          *[3]float64
		least, most float64
	}{{MeanKey, &n.Mean, -1e3, 1e3}, {StdKey, &n.Std, 1e-6, 1e6}} {
		text, ok := n.File.Metadata[x.key]
		if !ok {
			continue
		}
		var v []float64
		if err := json.Unmarshal([]byte(text), &v); err != nil || len(v) != len(x.to) {
			return fmt.Errorf("%s is %q, a list of three numbers is expected", x.key, text)
		}
		for i, y := range v {
			if y < x.least || y > x.most {
				return fmt.Errorf("%s is %q, numbers from %v to %v are expected", x.key, text, x.least, x.most)
			}
			x.to[i] = y
		}
	}
	if text, ok := n.File.Metadata[ClassesKey]; ok {
		if err := json.Unmarshal([]byte(text), &n.Classes); err != nil || len(n.Classes) != classes {
			return fmt.Errorf("%s is %q, a list of the names of %d classes is expected", ClassesKey, text, classes)
		}
		return nil
	}
	for i := range classes {
		name := fmt.Sprintf("class %d", i)
		if classes == cifar10.Classes {
			name = cifar10.ClassNames[i]
		}
		n.Classes = append(n.Classes, name)
	}
	return nil
}

// SHA256 is a checksum, in hex, of the names, types, shapes and values of the weights, whatever kind of file they came in: that of a safetensors file which holds them in the
// order of their names, without metadata.
func (n *Network) SHA256() (string, error) {
	sorted := slices.SortedFunc(slices.Values(n.File.Tensors), func(a, b safetensors.Tensor) int { return strings.Compare(a.Name, b.Name) })
	b, err := safetensors.Encode(&safetensors.File{Tensors: sorted})
	if err != nil {
		return "", &WeightsError{Path: n.Path, Problem: err.Error()}
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// metadataOf is what Export writes about a network for CIFAR-10.
func metadataOf(model string, size int) map[string]string {
	text := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // numbers and strings
		}
		return string(b)
	}
	return map[string]string{
		"format": "pt", ModelKey: model, SizeKey: strconv.Itoa(size), ClassesKey: text(cifar10.ClassNames), MeanKey: text(cifar10.Mean), StdKey: text(cifar10.Std),
	}
}
