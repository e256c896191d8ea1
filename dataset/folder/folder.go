// Package folder reads images that lie as files of their own. They are of any size and format that package picture
// knows, in folders of classes, or named by a table in CSV. What is known of their files is kept in the user's cache
// directory.
package folder

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"ninvk/dataset"
	"ninvk/picture"
)

// Format is a folder of classes: DIR/CLASS/… or DIR/SPLIT/CLASS/….
var Format = dataset.Format{Name: "a folder of classes", Is: isFolder, Open: openFolder}

// isFolder says whether a folder has folders with images in them.
func isFolder(dir string) bool {
	folders, _, _, err := list(dir)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(folders, func(f string) bool { return hasImages(filepath.Join(dir, f)) })
}

// Bounds on what is looked at to recognise a folder, so that an answer comes soon whatever is given.
const (
	mostDepth = 8
	mostFiles = 200 // of a folder
)

// hasImages says whether there are images among the first files of a folder, or within it.
func hasImages(dir string) bool { return within(dir, 0) }

func within(dir string, depth int) bool {
	folders, files, _, err := list(dir)
	if err != nil || depth > mostDepth {
		return false
	}
	for _, f := range files[:min(len(files), mostFiles)] {
		if picture.IsImage(f, head(filepath.Join(dir, f))) {
			return true
		}
	}
	return slices.ContainsFunc(folders, func(f string) bool { return within(filepath.Join(dir, f), depth+1) })
}

// head are the first bytes of a regular file.
func head(name string) []byte {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	b := make([]byte, 1024)
	n, _ := f.Read(b) // an empty file has none
	return b[:n]
}

// part is what a folder or table has for one split.
type part struct {
	name  string // as people know it: train, val, test; "" is all there is
	items []item
}

// item is a file with its class.
type item struct {
	path  string // from the root, with slashes
	label uint16
}

// collection is what a folder or table lists, before any file is opened.
type collection struct {
	root    string // that paths are relative to
	named   bool   // each file by itself, so that none may be anything but an image
	format  string
	classes []string
	parts   []part // train, and one to test with; or one to be divided
	passed  []string
	notes   []string
}

// locate is a path of a collection as the file system has it.
func locate(root, p string) string {
	p = filepath.FromSlash(p)
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(root, p)
}

// Names of folders of splits, in small letters and without what is put behind them.
var (
	trainNames    = []string{"train", "training"}
	validateNames = []string{"val", "valid", "validation"}
	testNames     = []string{"test", "testing"}
)

// splitName brings the name of a folder to that of a split: Test_Set is test.
func splitName(folder string) string {
	name := strings.ToLower(folder)
	for _, end := range []string{"_set", "-set", "set", "_data", "-data", "_images", "-images"} {
		if short, ok := strings.CutSuffix(name, end); ok && short != "" {
			return short
		}
	}
	return name
}

func openFolder(dir string, o dataset.Options) (*dataset.Set, error) {
	c, err := collect(dir)
	if err != nil {
		return nil, err
	}
	return c.open(filepath.Clean(dir), o)
}

// collect lists a folder's classes and files.
func collect(dir string) (*collection, error) {
	folders, files, passed, err := list(dir)
	if err != nil {
		return nil, err
	}
	c := &collection{root: dir, passed: passed}
	for _, f := range files {
		c.passed = append(c.passed, shown(f)+": beside the folders of classes")
	}
	named := func(names []string) (found []string) {
		for _, f := range folders {
			if slices.Contains(names, splitName(f)) && isFolder(filepath.Join(dir, f)) {
				found = append(found, f)
			}
		}
		return found
	}
	train, validate, test := named(trainNames), named(validateNames), named(testNames)
	held := slices.Concat(validate, test)
	if len(train) == 0 || len(held) == 0 && !onlySplits(folders) {
		c.format = "a folder of classes"
		c.classes = folders
		if err := c.countable(); err != nil {
			return nil, err
		}
		return c, c.add(dir, "", "", folders)
	}
	for _, same := range [][]string{train, validate, test} {
		if len(same) > 1 {
			return nil, &dataset.FileError{Path: dir, Offset: -1,
				Problem: fmt.Sprintf("the folders %s and %s are both for one split", same[0], same[1]),
				Hint:    "leave one of them"}
		}
	}
	c.format = "a folder of splits, each of classes"
	use := append(train, held[:min(len(held), 1)]...)
	if err := c.addSplits(dir, use); err != nil {
		return nil, err
	}
	for _, f := range folders {
		switch {
		case slices.Contains(use, f):
		case slices.Contains(held, f):
			c.notes = append(c.notes, fmt.Sprintf("%s is evaluated on, %s is left alone", held[0], f))
		case slices.Contains(slices.Concat(validateNames, testNames), splitName(f)):
			c.notes = append(c.notes, fmt.Sprintf("%s has no folders of classes with images, and is left alone", f))
		default:
			c.passed = append(c.passed, shown(f)+": a folder beside those of splits")
		}
	}
	return c, nil
}

// addSplits lists the classes and files of the folders of splits that are used: one, which is to be divided, or two.
func (c *collection) addSplits(dir string, use []string) error {
	inside := make([][]string, len(use))
	for i, f := range use {
		folders, files, passed, err := list(filepath.Join(dir, f))
		if err != nil {
			return err
		}
		for _, p := range passed {
			c.passed = append(c.passed, f+"/"+p)
		}
		for _, p := range files {
			c.passed = append(c.passed, shown(f+"/"+p)+": beside the folders of classes")
		}
		inside[i] = folders
		c.classes = append(c.classes, folders...)
	}
	slices.Sort(c.classes)
	c.classes = slices.Compact(c.classes)
	if err := c.countable(); err != nil {
		return err
	}
	for i, f := range use {
		name := f
		if len(use) == 1 {
			name = "" // to be divided
		}
		if err := c.add(dir, name, f, inside[i]); err != nil {
			return err
		}
	}
	return nil
}

// countable is an error about more classes than there may be.
func (c *collection) countable() error {
	if len(c.classes) > dataset.MostClasses {
		return &dataset.FileError{Path: c.root, Offset: -1, Problem: fmt.Sprintf("it has %d folders of classes, at most "+
			"%d are possible", len(c.classes), dataset.MostClasses)}
	}
	return nil
}

// onlySplits says whether all folders have names of splits.
func onlySplits(folders []string) bool {
	return !slices.ContainsFunc(folders, func(f string) bool {
		return !slices.Contains(slices.Concat(trainNames, validateNames, testNames), splitName(f))
	})
}

// add lists the files of a split, whose classes are folders within one below dir.
func (c *collection) add(dir, split, within string, folders []string) error {
	p := part{name: split}
	for _, name := range folders { // sorted, and so are the classes
		label, known := slices.BinarySearch(c.classes, name)
		if !known {
			return fmt.Errorf("the class %s appeared while the folder was read", name)
		}
		f, err := walk(dir, path.Join(within, name))
		if err != nil {
			return err
		}
		c.passed = append(c.passed, f.passed...)
		for _, file := range f.files {
			p.items = append(p.items, item{file, uint16(label)})
		}
	}
	c.parts = append(c.parts, p)
	return nil
}
