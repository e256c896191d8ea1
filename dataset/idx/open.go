package idx

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ninvk/dataset"
)

// Format is MNIST's format.
var Format = dataset.Format{Name: formatName, Is: is, Open: open}

const formatName = "MNIST's format (IDX)"

// is says whether a path is of a set, a folder with it, or a file of one.
func is(path string) bool {
	_, err := find(path)
	return err == nil || errors.As(err, new(*dataset.FileError))
}

// classesFile names the classes, one a line.
const classesFile = "classes.txt"

// open reads a set: as many classes as the largest label needs. Their names are those of classes.txt beside the files
// or of EMNIST's mapping, else, where the labels are known, the published ones, else their numbers.
func open(path string, o dataset.Options) (*dataset.Set, error) {
	s, err := find(path)
	if err != nil {
		if errors.As(err, new(*dataset.FileError)) {
			return nil, err
		}
		return nil, &dataset.FileError{Path: path, Offset: -1, Problem: "holds no set in MNIST's format: " +
			dataset.Cause(err), Hint: "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and " +
			"t10k-labels-idx1-ubyte are expected, compressed or not", Err: err}
	}
	if !s.has(part{}) && !s.has(part{labels: true}) {
		return nil, &dataset.FileError{Path: s.dir, Offset: -1, Err: fs.ErrNotExist,
			Problem: "it has images to test with, but none to train on",
			Hint:    "for training, " + s.named(part{}) + " and " + s.named(part{labels: true}) + " are expected"}
	}
	d := &dataset.Set{Name: filepath.Clean(path), Format: formatName, Channels: 1, Notes: s.notes}
	train, sum, err := s.split(false)
	if err != nil {
		return nil, err
	}
	d.Train = train
	if s.has(part{test: true}) || s.has(part{true, true}) {
		if d.Test, _, err = s.split(true); err != nil {
			return nil, err
		}
	}
	if err := s.name(d, sum); err != nil {
		return nil, err
	}
	if err := d.Arrays(o); err != nil {
		return nil, err
	}
	return d, nil
}

func (s *files) has(p part) bool { return s.paths[p] != "" }

// named is the name that a missing file would have.
func (s *files) named(p part) string { return s.prefix + p.String() }

// split reads one split, and the SHA-256 of its labels.
func (s *files) split(test bool) (dataset.Split, string, error) {
	fail := func(err error) (dataset.Split, string, error) { return dataset.Split{}, "", err }
	for _, p := range []part{{test, false}, {test, true}} {
		if !s.has(p) {
			return fail(&dataset.FileError{Path: s.dir, Offset: -1, Problem: "the file " + s.named(p) + " is missing",
				Hint: filepath.Base(s.paths[part{test, !p.labels}]) + " is there, and is of no use without", Err: fs.ErrNotExist})
		}
	}
	// Labels first: they are small.
	labels, err := read(s.paths[part{test, true}], 1, "labels")
	if err != nil {
		return fail(err)
	}
	images, err := read(s.paths[part{test, false}], 3, "images")
	if err != nil {
		return fail(err)
	}
	if len(labels.values) != images.size[0] {
		return fail(&dataset.FileError{Path: labels.path, Offset: 4, Problem: fmt.Sprintf("it has %s, %s has %s",
			dataset.Counted(len(labels.values), "label"), filepath.Base(images.path),
			dataset.Counted(images.size[0], "image")), Hint: "are both files of the same set?"})
	}
	shape := dataset.Shape{C: 1, H: images.size[1], W: images.size[2]}
	split := dataset.Split{Shape: shape, Labels: make([]uint16, len(labels.values))}
	for i, l := range labels.values {
		split.Labels[i] = uint16(l)
	}
	what := "training image"
	if test {
		what = "test image"
	}
	split.Source = dataset.Memory{Shape: shape, Pixels: images.values, What: what}
	sum := sha256.Sum256(labels.values)
	return split, hex.EncodeToString(sum[:]), nil
}

// name gives a set its classes. sum is that of the training labels.
func (s *files) name(d *dataset.Set, sum string) error {
	n := 0
	for _, labels := range [][]uint16{d.Train.Labels, d.Test.Labels} {
		if len(labels) > 0 {
			n = max(n, int(slices.Max(labels))+1)
		}
	}
	if n < 2 {
		return &dataset.FileError{Path: s.paths[part{labels: true}], Offset: -1,
			Problem: "all labels are 0, that is one class only", Hint: "a classifier needs two classes or more"}
	}
	names, from, err := s.names(n, sum)
	if err != nil {
		return err
	}
	switch {
	case from == "":
		for i := range n {
			names = append(names, strconv.Itoa(i))
		}
		d.Notes = append(d.Notes, fmt.Sprintf("the classes are called by their labels, 0 to %d; a file %s beside the "+
			"images can name them, one a line", n-1, classesFile))
	case len(names) < n:
		return &dataset.FileError{Path: from, Offset: -1,
			Problem: fmt.Sprintf("it names %d classes, but the largest label is %d", len(names), n-1),
			Hint:    "a name for each label from 0 on is expected"}
	default:
		d.Named = true
	}
	d.Classes = names
	images := make([]int, len(names))
	for _, l := range d.Train.Labels {
		images[l]++
	}
	for label, n := range images {
		if n == 0 {
			d.Notes = append(d.Notes, fmt.Sprintf("no training image has label %d (%s)", label, names[label]))
		}
	}
	return nil
}

// names are those of n classes, and which file they are from; none where nobody knows them.
func (s *files) names(n int, sum string) (names []string, from string, err error) {
	from = filepath.Join(s.dir, classesFile)
	names, err = dataset.ReadClasses(from)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return names, from, err
	}
	from = filepath.Join(s.dir, s.prefix+"mapping.txt")
	text, err := os.ReadFile(from)
	switch {
	case err == nil:
		names, err = mapping(string(text))
		if err != nil {
			return nil, from, &dataset.FileError{Path: from, Offset: -1, Problem: err.Error(), Err: err,
				Hint: "EMNIST's mapping is expected: on each line a label, then the codes of its characters"}
		}
		return names, from, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, from, &dataset.FileError{Path: from, Offset: -1, Problem: "cannot be read: " + dataset.Cause(err),
			Err: err}
	}
	if names := published[sum]; names != nil {
		return names, "the published labels", nil
	}
	return nil, "", nil
}

const (
	mnist   = "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13"
	fashion = "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7"
)

// published are the names of the classes of sets by the SHA-256 of their training labels, a byte each.
var published = map[string][]string{
	mnist: strings.Fields("0 1 2 3 4 5 6 7 8 9"),
	fashion: {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
		"Ankle boot"},
}

// mapping reads EMNIST's mapping of labels to characters: the class of "10 65 97" is called Aa. Labels it lacks, as 0
// among EMNIST's letters, are called by their numbers.
func mapping(text string) ([]string, error) {
	named := map[int]string{}
	last := -1
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			return nil, fmt.Errorf("line %d is %.100q", i+1, line)
		}
		label, err := strconv.ParseUint(fields[0], 10, 8)
		if err != nil {
			return nil, fmt.Errorf("line %d begins with %.100q, which is no label from 0 to 255", i+1, fields[0])
		}
		name := ""
		for _, f := range fields[1:] {
			code, err := strconv.ParseUint(f, 10, 21)
			if err != nil || !strconv.IsPrint(rune(code)) || code == ' ' {
				return nil, fmt.Errorf("line %d has %.100q, which is the code of no character", i+1, f)
			}
			if !strings.ContainsRune(name, rune(code)) {
				name += string(rune(code))
			}
		}
		if named[int(label)] != "" {
			return nil, fmt.Errorf("line %d has label %d again", i+1, label)
		}
		named[int(label)] = name
		last = max(last, int(label))
	}
	names := make([]string, last+1)
	for i := range names {
		if names[i] = named[i]; names[i] == "" {
			names[i] = fmt.Sprintf("label %d", i)
		}
	}
	return names, nil
}
