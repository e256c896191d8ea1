package folder

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"ninvk/dataset"
)

// mostNamed is the number of files that a message names, a line each, and mostShown that of a list in one line.
const (
	mostNamed = 20
	mostShown = 3
)

// open makes a set of what is listed: every file is looked at, and what is no image is left out.
func (c *collection) open(name string, o dataset.Options) (*dataset.Set, error) {
	all := c.check(o)
	set := &dataset.Set{Name: name, Named: true, Notes: c.notes}
	channels := c.leaveOut(set, all)
	if n := len(set.Broken); n > 0 {
		if !o.SkipBroken {
			them := map[bool]string{true: "it", false: "them"}[n == 1]
			return nil, &dataset.FileError{Path: name, Offset: -1, Problem: fmt.Sprintf("%s can't be read; mend or remove %s, "+
				"or leave %[2]s out by --skip-broken:\n%[3]s", dataset.Counted(n, "image"), them, named(set.Broken))}
		}
		set.Notes = append(set.Notes, fmt.Sprintf("%s left out, as %s can't be read: %s", are(n, "image"),
			map[bool]string{true: "it", false: "they"}[n == 1], dataset.FirstOf(set.Broken, mostShown)))
	}
	if n := len(c.passed); n > 0 {
		set.Notes = append(set.Notes, fmt.Sprintf("%s passed over: %s", are(n, "item"), dataset.FirstOf(c.passed, mostShown)))
	}
	if err := c.settle(set); err != nil {
		return nil, err
	}
	if err := c.divide(set, &all, o); err != nil {
		return nil, err
	}
	set.Channels = cmp.Or(o.Channels, channels)
	set.Format = fmt.Sprintf("%s: %s, %s to train and %s to test with", c.format,
		dataset.Counted(len(set.Classes), "class"),
		dataset.Counted(len(c.parts[0].items), "image"), fmt.Sprint(len(c.parts[1].items)))
	c.fillSplits(set, all, o)
	return set, nil
}

// leaveOut takes what is no image, or none that can be read, from the parts and from all that is known of their files.
// The channels are those of the images that stay: one where none has colour.
func (c *collection) leaveOut(set *dataset.Set, all [][]facts) (channels int) {
	channels = 1
	for k := range c.parts {
		p := &c.parts[k]
		kept := 0
		for i, f := range all[k] {
			switch {
			case f.Kind == noImage && !c.named:
				c.passed = append(c.passed, shown(p.items[i].path)+": "+f.Problem)
			case f.Kind != anImage:
				set.Broken = append(set.Broken, shown(p.items[i].path)+": "+f.Problem)
			default:
				if f.Colour {
					channels = 3
				}
				p.items[kept], all[k][kept] = p.items[i], f
				kept++
			}
		}
		p.items, all[k] = p.items[:kept], all[k][:kept]
	}
	return channels
}

// fillSplits gives the set its images and labels, and the sum of all that they depend on.
func (c *collection) fillSplits(set *dataset.Set, all [][]facts, o dataset.Options) {
	fit := cmp.Or(o.Fit, dataset.Crop)
	sizes := []int{cmp.Or(o.TrainSize, o.Size), o.Size}
	sum := sha256.New()
	fmt.Fprintf(sum, "images %q %d %d %s\n", set.Classes, sizes, set.Channels, fit)
	for k, split := range []*dataset.Split{&set.Train, &set.Test} {
		items := c.parts[k].items
		split.Shape = dataset.Shape{C: set.Channels, H: sizes[k], W: sizes[k]}
		split.Source = &source{c.root, items, all[k], fit, sizes[k], set.Channels}
		split.Labels = make([]uint16, len(items))
		fmt.Fprintf(sum, "split %d\n", len(items))
		for i := range items {
			split.Labels[i] = items[i].label
			fmt.Fprintf(sum, "%d %x\n", items[i].label, all[k][i].Sum)
		}
	}
	set.SHA256 = hex.EncodeToString(sum.Sum(nil))
}

// settle decides on the classes: those that have images, whose names can be told apart.
func (c *collection) settle(set *dataset.Set) error {
	bad := func(hint, format string, a ...any) error {
		return &dataset.FileError{Path: set.Name, Offset: -1, Problem: fmt.Sprintf(format, a...), Hint: hint}
	}
	counts := make([]int, len(c.classes))
	for _, p := range c.parts {
		for _, i := range p.items {
			counts[i.label]++
		}
	}
	to := make([]uint16, len(c.classes)) // labels without those of empty classes
	var empty []string
	for i, class := range c.classes {
		to[i] = uint16(len(set.Classes))
		if counts[i] == 0 {
			empty = append(empty, shown(class))
		} else {
			set.Classes = append(set.Classes, class)
		}
	}
	for _, p := range c.parts {
		for i := range p.items {
			p.items[i].label = to[p.items[i].label]
		}
	}
	if n := len(empty); n > 0 {
		set.Notes = append(set.Notes, fmt.Sprintf("%s without images and left out: %s", are(n, "class"),
			dataset.FirstOf(empty, mostShown)))
	}
	switch len(set.Classes) {
	case 0:
		return bad("", "it has no image that can be read")
	case 1:
		return bad("a network needs at least two to tell apart; is this the folder above the right one?",
			"it has one class alone, %s", shown(set.Classes[0]))
	}
	same, alike := map[string]string{}, map[string]string{}
	for _, class := range set.Classes {
		if !utf8.ValidString(class) || strings.ContainsFunc(class, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return bad("rename it", "the name of the class %q has characters that can't be printed", class)
		}
		looks := strings.TrimSpace(norm.NFC.String(class))
		if other, ok := same[looks]; ok {
			return bad("rename one of them, or put their images together", "the classes %+q and %+q look the same, "+
				"and are written differently", other, class)
		}
		same[looks] = class
		folded := strings.ToLower(looks)
		if other, ok := alike[folded]; ok {
			set.Notes = append(set.Notes, fmt.Sprintf("the classes %s and %s differ in capital letters alone; they are "+
				"two classes", other, class))
		}
		alike[folded] = class
	}
	return nil
}

// divide gives the collection a part to train and one to test with, neither of them empty.
func (c *collection) divide(set *dataset.Set, all *[][]facts, o dataset.Options) error {
	if len(c.parts) == 1 {
		items, facts := c.parts[0].items, (*all)[0]
		labels := make([]uint16, len(items))
		for i := range items {
			labels[i] = items[i].label
		}
		fraction := cmp.Or(o.Validation, dataset.DefaultValidation)
		train, test := dataset.Divide(labels, len(set.Classes), func(i int) [32]byte { return facts[i].Sum }, fraction)
		c.parts, *all = nil, nil
		for _, chosen := range [][]int{train, test} {
			p, f := part{}, slices.Clip(facts[:0:0])
			for _, i := range chosen {
				p.items, f = append(p.items, items[i]), append(f, facts[i])
			}
			c.parts, *all = append(c.parts, p), append(*all, f)
		}
		c.parts[0].name, c.parts[1].name = "the training split", "the test split"
		set.Notes = append(set.Notes, dataset.Divided(len(test), len(items), fraction))
	} else if o.Validation != 0 && o.Validation != dataset.DefaultValidation {
		set.Notes = append(set.Notes, "the data have a split of their own, so that --val-fraction does nothing")
	}
	counts := make([][]int, len(c.parts))
	for k, p := range c.parts {
		if len(p.items) == 0 {
			return &dataset.FileError{Path: set.Name, Offset: -1, Problem: p.name + " has no image that can be read"}
		}
		counts[k] = make([]int, len(set.Classes))
		for _, i := range p.items {
			counts[k][i.label]++
		}
	}
	for k, p := range c.parts {
		var missing []string
		for class, n := range counts[k] {
			if n == 0 {
				missing = append(missing, set.Classes[class])
			}
		}
		switch {
		case len(missing) == 0:
		case k == 0:
			return &dataset.FileError{Path: set.Name, Offset: -1, Problem: fmt.Sprintf("%s no images in %s, so that nothing "+
				"can be learned of them: %s", have(len(missing), "class"), p.name, dataset.FirstOf(missing, mostShown)),
				Hint: "is a folder's name misspelt?"}
		default:
			set.Notes = append(set.Notes, fmt.Sprintf("%s no images in %s, and so no accuracy: %s",
				have(len(missing), "class"), p.name, dataset.FirstOf(missing, mostShown)))
		}
	}
	return nil
}
