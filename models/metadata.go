package models

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ninvk/cifar10"
	"ninvk/dataset"
	"ninvk/picture"
)

// Keys of a weights file's metadata; docs/weights.md promises them. Of a file without them the usual is assumed, see
// Network.Assumed.
const (
	ModelKey   = "ninvk.model"   // one of Names
	SizeKey    = "ninvk.size"    // pixels a side of the input
	ClassesKey = "ninvk.classes" // names by index, a JSON list
	MeanKey    = "ninvk.mean"    // of each channel, 0 to 1, a JSON list
	StdKey     = "ninvk.std"     // likewise

	ChannelsKey = "ninvk.channels" // of the images: 3 for red, green and blue, 1 for grey
	FitKey      = "ninvk.fit"      // how an image becomes a square: crop, stretch, pad or imagenet, see package picture
)

// maxSize is the largest input that a weights file may ask for.
const maxSize = 4096

// mostClasses bounds what a broken file can ask for; ImageNet in full has 21,841.
const mostClasses = 100_000

// Metadata are what a weights file tells of its network beside the weights.
type Metadata struct {
	Model   string
	Size    int       // pixels a side of the input
	Classes []string  // names by index
	Mean    []float64 // of each channel, 0 to 1; subtracted from an image's values, which Std then divides
	Std     []float64

	Channels int         // of the images, 1 or 3; 0 stands for 3
	Fit      picture.Fit // how images become squares; "" stands for the model's usual way, see UsualFit
}

// Text is what a weights file's metadata say.
func (m Metadata) Text() map[string]string {
	text := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // numbers and strings
		}
		return string(b)
	}
	return map[string]string{
		ModelKey: m.Model, SizeKey: strconv.Itoa(m.Size), ClassesKey: text(m.Classes), MeanKey: text(m.Mean),
		StdKey: text(m.Std), ChannelsKey: strconv.Itoa(cmp.Or(m.Channels, 3)),
		FitKey: string(cmp.Or(m.Fit, UsualFit(m.Model))),
	}
}

// listed are ways to fit an image, for messages.
func listed(fits []picture.Fit) string {
	var names []string
	for _, f := range fits {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

// read takes what is given, else what the file tells, and puts the usual in the place of what neither does.
func (n *Network) read(told map[string]string, classes int, given Given) error {
	if err := n.readSize(told, given.Size); err != nil {
		return err
	}
	if text, ok := told[ChannelsKey]; ok {
		if channels, err := strconv.Atoi(text); err != nil || channels != n.Channels {
			return fmt.Errorf("%s is %s, the network takes images of %s", ChannelsKey, shown(strconv.Quote(text)),
				kindOf(n.Channels))
		}
	}
	n.known[ChannelsKey] = true // by the shape of the first layer's weights
	if text, ok := told[FitKey]; ok {
		fit := picture.Fit(text)
		if !slices.Contains(fits, fit) {
			return fmt.Errorf("%s is %s, one of %s is expected", FitKey, shown(strconv.Quote(text)), listed(fits))
		}
		n.Fit, n.known[FitKey] = fit, true
	}
	if err := n.readChannels(told, MeanKey, &n.Mean, given.Mean, -1e3, 1e3); err != nil {
		return err
	}
	if err := n.readChannels(told, StdKey, &n.Std, given.Std, 1e-6, 1e6); err != nil {
		return err
	}
	return n.readClasses(told, classes, given.Classes)
}

func (n *Network) readSize(told map[string]string, given int) error {
	if text, ok := told[SizeKey]; ok {
		size, err := strconv.Atoi(text)
		if err != nil || size < 1 || size > maxSize {
			return fmt.Errorf("%s is %s, a number of pixels up to %d is expected", SizeKey, shown(strconv.Quote(text)),
				maxSize)
		}
		if n.Model == told[ModelKey] {
			n.Size, n.known[SizeKey] = size, true
		}
	}
	if given != 0 {
		n.Size, n.known[SizeKey] = given, true
	}
	n.Size = cmp.Or(n.Size, Size(n.Model))
	return nil
}

// readChannels reads a number for each channel, from least to most; what is given counts for more than what is told.
func (n *Network) readChannels(told map[string]string, key string, to *[]float64, given []float64,
	least, most float64) error {
	text, ok := told[key]
	if ok {
		var v []float64
		if err := json.Unmarshal([]byte(text), &v); err != nil || len(v) != n.Channels {
			return fmt.Errorf("%s is %s, a list of a number for each of %s is expected", key, shown(strconv.Quote(text)),
				kindOf(n.Channels))
		}
		for _, y := range v {
			if y < least || y > most {
				return fmt.Errorf("%s is %s, numbers from %v to %v are expected", key, shown(strconv.Quote(text)), least,
					most)
			}
		}
		*to = v
	}
	if given != nil {
		*to, _ = Spread(given, n.Channels) // as was checked
	}
	n.known[key] = ok || given != nil
	return nil
}

func (n *Network) readClasses(told map[string]string, classes int, given []string) error {
	if text, ok := told[ClassesKey]; ok {
		if err := json.Unmarshal([]byte(text), &n.Classes); err != nil {
			return fmt.Errorf("%s is %s, a list of the names of %d classes is expected", ClassesKey,
				shown(strconv.Quote(text)), classes)
		}
		if len(n.Classes) != classes {
			return fmt.Errorf("%s has %d names, the network has %d classes", ClassesKey, len(n.Classes), classes)
		}
		for i, name := range n.Classes { // as from a file, since a terminal shows them
			if one, err := dataset.ParseClasses(name); err != nil || len(one) != 1 {
				return fmt.Errorf("%s has for class %d the name %s, which can't be shown", ClassesKey, i,
					shown(strconv.Quote(name)))
			}
		}
		n.known[ClassesKey] = true
	}
	if given != nil {
		n.Classes, n.known[ClassesKey] = given, true
	}
	if n.Classes == nil {
		n.Classes = cifar10.AssumedClasses(classes)
	}
	return nil
}
