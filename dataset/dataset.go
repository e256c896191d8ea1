// Package dataset has what all data sets share, whatever format they come in. That is a set with its classes and
// splits, how an image is fitted to a square, the order and the variations of a training batch, and the recognition of
// what people have. Formats are packages of their own below it.
package dataset

import (
	"errors"
	"fmt"
	"image"
	"io/fs"
	"strings"

	"ninvk/picture"
)

// MostClasses is the largest number of classes that a set may have: labels are 16 bits.
const MostClasses = 65535

// Shape is that of an image: channels, and pixels from top to bottom and from left to right.
type Shape struct{ C, H, W int }

// Bytes is the size of an image of that shape, a byte a value.
func (s Shape) Bytes() int { return s.C * s.H * s.W }

func (s Shape) String() string { return fmt.Sprintf("%d×%d×%d", s.C, s.H, s.W) }

// Source gives the images of a split one by one. Goroutines may call it at the same time.
type Source interface {
	// Read puts image i into dst, which has the split's Shape.Bytes: C planes of H rows of W bytes.
	Read(i int, dst []byte) error
	// Name tells a person which image i is: the file it is in, or its place in a file of many.
	Name(i int) string
}

// Split is one part of a data set: image i has the class Labels[i], an index into the set's Classes.
type Split struct {
	Shape  Shape
	Labels []uint16
	Source
}

// Len is the number of images.
func (s Split) Len() int { return len(s.Labels) }

// Image is image i as a picture.
func (s Split) Image(i int) (*image.RGBA, error) {
	b := make([]byte, s.Shape.Bytes())
	if err := s.Read(i, b); err != nil {
		return nil, err
	}
	return picture.FromPlanes(s.Shape.W, s.Shape.H, b)
}

// All are the split's images one behind the other, [n][C][H][W]. Those of a split in memory are not copied.
func (s Split) All() ([]byte, error) {
	one := s.Shape.Bytes()
	if m, ok := s.Source.(Memory); ok {
		return m.Pixels[:s.Len()*one], nil
	}
	all := make([]byte, s.Len()*one)
	for i := range s.Labels {
		if err := s.Read(i, all[i*one:][:one]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// First is the split's first n images, all where there are no more.
func (s Split) First(n int) Split {
	s.Labels = s.Labels[:min(n, len(s.Labels))]
	return s
}

// Memory is a source whose images lie in memory one behind the other.
type Memory struct {
	Shape  Shape
	Pixels []byte // [n][C][H][W]
	What   string // what Name calls them, as "test image"
}

// Read copies image i.
func (m Memory) Read(i int, dst []byte) error {
	copy(dst, m.Pixels[i*m.Shape.Bytes():][:m.Shape.Bytes()])
	return nil
}

// Name is "test image 7".
func (m Memory) Name(i int) string { return fmt.Sprintf("%s %d", m.What, i) }

// Set is a data set: a training and a test split, neither of them empty.
type Set struct {
	Name     string // as it was given: a folder, a file, or "sample"
	Format   string // what it was recognised as, in words
	Title    string // what a picture calls it; "": the last part of its name
	SHA256   string // hex, over all that training can see of it, and so the same wherever and however it is stored
	Classes  []string
	Named    bool // the set has names for its classes, so that they are not merely assumed
	Channels int  // of the images of both splits
	Train    Split
	Test     Split
	Notes    []string // what a person should be told, a sentence each: how it was divided, what was passed over
	Broken   []string // images that can't be decoded and are left out, as Options.SkipBroken has it, and why
}

// Options say how a set is opened.
type Options struct {
	Size       int     // pixels a side of the square that photos of any size are fitted to
	TrainSize  int     // likewise of those trained on, of which parts are cut out; 0: Size
	Fit        Fit     // how; "": Crop
	Channels   int     // 1 or 3; 0: the data's own
	Labels     string  // of data with two sets of labels: Fine or Coarse; "": Fine
	Validation float64 // share of the images that become the test split of data which have none; 0: DefaultValidation
	SkipBroken bool    // leave out files that can't be decoded, and say so in the set's notes

	// Progress is told how far the reading of many files is; nil: nobody wants to know.
	Progress func(stage string, done, total int)
}

// What Options.Labels chooses from.
const (
	Fine   = "fine"
	Coarse = "coarse"
)

// DefaultValidation is the share of images that become the test split where the data have none.
const DefaultValidation = 0.1

// Format is a kind of data.
type Format struct {
	Name   string // in words, as "CIFAR-10, binary version"
	Coarse bool   // Options.Labels chooses from two sets of labels
	// Is says whether a folder or file is of this kind. It looks at names and at the beginnings of files alone.
	Is func(path string) bool
	// Open reads it. What is wrong with the data is a *FileError.
	Open func(path string, o Options) (*Set, error)
}

// A FileError says what is wrong with an input file or folder, where, and what to do about it.
type FileError struct {
	Path    string
	Offset  int64  // byte in the file; -1 where the problem has no place
	Problem string // what was found and what was expected
	Hint    string // what to do next; may be empty
	Err     error  // the cause, for errors.Is; may be nil
}

// Error is one line: path, offset, problem, hint.
func (e *FileError) Error() string {
	var b strings.Builder
	b.WriteString(e.Path)
	if e.Offset >= 0 {
		fmt.Fprintf(&b, ", byte %d", e.Offset)
	}
	b.WriteString(": " + e.Problem)
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// Cause is the part of a file system error that doesn't repeat the path.
func Cause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
