package dataset

import (
	"crypto/sha256"
	"fmt"

	"ninvk/picture"
)

// Arrays finishes a set whose images are stored as values of one size: it divides the training split where the test
// split is empty, takes the sum, and makes the images of as many channels as the options ask for.
func (d *Set) Arrays(o Options) error {
	if d.Test.Len() == 0 {
		if err := d.divide(o.Validation); err != nil {
			return err
		}
	}
	sum := NewSum(len(d.Classes))
	for _, s := range []Split{d.Train, d.Test} {
		if err := sum.Split(s); err != nil {
			return err
		}
	}
	d.SHA256 = sum.Hex()
	d.SetChannels(o.Channels)
	return nil
}

// divide takes about that share of each class of the training split to test with.
func (d *Set) divide(fraction float64) error {
	if fraction == 0 {
		fraction = DefaultValidation
	}
	all := d.Train
	hashes := make([][sha256.Size]byte, all.Len())
	image := make([]byte, all.Shape.Bytes())
	for i := range hashes {
		if err := all.Read(i, image); err != nil {
			return err
		}
		hashes[i] = sha256.Sum256(image)
	}
	train, test := Divide(all.Labels, len(d.Classes), func(i int) [32]byte { return hashes[i] }, fraction)
	if len(train) == 0 || len(test) == 0 {
		return &FileError{Path: d.Name, Offset: -1,
			Problem: fmt.Sprintf("it has no test split, and its %s can't be divided into two parts",
				Counted(all.Len(), "image")),
			Hint: "more images that differ are needed, or another share by --val-fraction"}
	}
	d.Train, d.Test = all.Some(train), all.Some(test)
	d.Notes = append(d.Notes, Divided(len(test), all.Len(), fraction))
	return nil
}

// Some are those images of a split whose places are listed.
func (s Split) Some(images []int) Split {
	labels := make([]uint16, len(images))
	for i, k := range images {
		labels[i] = s.Labels[k]
	}
	return Split{s.Shape, labels, some{s.Source, images}}
}

type some struct {
	Source
	images []int
}

func (s some) Read(i int, dst []byte) error { return s.Source.Read(s.images[i], dst) }
func (s some) Name(i int) string            { return s.Source.Name(s.images[i]) }

// SetChannels makes the images of both splits have 1 or 3 channels: grey ones become coloured by repeating, coloured
// ones grey as Pillow's mode L is. With 0 they stay as they are.
func (d *Set) SetChannels(n int) {
	if n == 0 {
		return
	}
	for _, s := range []*Split{&d.Train, &d.Test} {
		if from := s.Shape.C; from != n {
			s.Shape.C = n
			s.Source = recoloured{s.Source, from * s.Shape.H * s.Shape.W, n == 1}
		}
	}
	d.Channels = n
}

// recoloured are images of three channels made grey, or grey ones made coloured.
type recoloured struct {
	Source
	stored int // bytes of an image
	grey   bool
}

func (r recoloured) Read(i int, dst []byte) error {
	if !r.grey {
		plane := dst[:r.stored]
		if err := r.Source.Read(i, plane); err != nil {
			return err
		}
		copy(dst[r.stored:], plane)
		copy(dst[2*r.stored:], plane)
		return nil
	}
	stored := make([]byte, r.stored)
	if err := r.Source.Read(i, stored); err != nil {
		return err
	}
	plane := r.stored / 3
	for p := range plane {
		dst[p] = picture.L(stored[p], stored[plane+p], stored[2*plane+p])
	}
	return nil
}
