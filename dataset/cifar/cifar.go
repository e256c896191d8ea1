// Package cifar reads the forms of CIFAR that package cifar10 does not. They are CIFAR-100's binary version, and
// Python's pickles of CIFAR-10 and CIFAR-100.
package cifar

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ninvk/dataset"
)

// shape is that of all images of CIFAR.
var shape = dataset.Shape{C: 3, H: 32, W: 32}

// labelling is one of the sets of labels that CIFAR-100 has.
type labelling struct {
	file  string   // of the binary version, which names the classes
	key   string   // of the labels in a pickle; that of the names has "_label_names" in place of "_labels"
	at    int      // byte of a binary record
	names []string // as published
}

// published are CIFAR-100's two sets of labels.
var published = map[string]labelling{
	dataset.Fine: {"fine_label_names.txt", "fine_labels", 1, strings.Fields(`
		apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
		castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
		elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
		man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
		pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
		skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
		tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm`)},
	dataset.Coarse: {"coarse_label_names.txt", "coarse_labels", 0, strings.Fields(`
		aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
		household_furniture insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes
		large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles small_mammals trees
		vehicles_1 vehicles_2`)},
}

// labellingOf is the set of labels that the options choose.
func labellingOf(o dataset.Options) labelling {
	if o.Labels == dataset.Coarse {
		return published[dataset.Coarse]
	}
	return published[dataset.Fine]
}

// What the images of the splits are called, with their number.
var imageNames = [2]string{"training image", "test image"}

// records are images with their labels.
type records struct {
	pixels []byte // [n, 3, 32, 32]
	labels []uint16
}

// set makes a set of what was read, to train and to test with; the latter may be empty.
func (l labelling) set(path, format string, splits [2]records, names []string, o dataset.Options) (*dataset.Set,
	error) {
	d := &dataset.Set{Name: filepath.Clean(path), Format: format, Channels: shape.C, Classes: names, Named: names != nil}
	if !d.Named {
		d.Classes = l.names
		d.Notes = append(d.Notes, fmt.Sprintf("nothing beside the images names the classes: CIFAR's %d are assumed",
			len(l.names)))
	}
	for i, s := range []*dataset.Split{&d.Train, &d.Test} {
		*s = dataset.Split{Shape: shape, Labels: splits[i].labels,
			Source: dataset.Memory{Shape: shape, Pixels: splits[i].pixels, What: imageNames[i]}}
	}
	if err := d.Arrays(o); err != nil {
		return nil, err
	}
	return d, nil
}

// checkNames checks the names of classes that a file has.
func checkNames(path string, names []string) error {
	fail := func(problem string) error {
		return &dataset.FileError{Path: path, Offset: -1, Problem: problem,
			Hint: "a name for each class is expected, in the order of the labels"}
	}
	if len(names) < 2 || len(names) > 256 {
		return fail(fmt.Sprintf("it names %d classes; from 2 to 256 can be told apart, as a label is a byte", len(names)))
	}
	for i, name := range names {
		if first := slices.Index(names, name); first < i {
			return fail(fmt.Sprintf("classes %d and %d are both named %q", first, i, name))
		}
	}
	return nil
}

// locate finds the folder that holds one of the files, dir or the one that the official archive makes in it.
func locate(dir, nested string, files ...string) (string, bool) {
	for _, d := range []string{dir, filepath.Join(dir, nested)} {
		if slices.ContainsFunc(files, func(f string) bool { return regular(filepath.Join(d, f)) }) {
			return d, true
		}
	}
	return "", false
}

func regular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func unreadable(path string, err error) error {
	return &dataset.FileError{Path: path, Offset: -1, Problem: "cannot be read: " + dataset.Cause(err), Err: err}
}
