package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
)

// Sum is the SHA-256 of a set whose images lie in arrays: the training split, then the other, image after image its
// label, in as many bytes as the number of classes asks for, the lower first, and its values as they are stored. So it
// is the same for the same images in whatever format.
type Sum struct {
	h    hash.Hash
	wide bool
}

// NewSum is the sum of a set of so many classes before its first image.
func NewSum(classes int) Sum { return Sum{sha256.New(), classes > 256} }

// Add adds the next image.
func (s Sum) Add(label uint16, image []byte) {
	if s.h.Write([]byte{byte(label)}); s.wide {
		s.h.Write([]byte{byte(label >> 8)})
	}
	s.h.Write(image)
}

// Split adds all images of a split.
func (s Sum) Split(split Split) error {
	image := make([]byte, split.Shape.Bytes())
	for i, label := range split.Labels {
		if err := split.Read(i, image); err != nil {
			return err
		}
		s.Add(label, image)
	}
	return nil
}

// Hex is the sum so far.
func (s Sum) Hex() string { return hex.EncodeToString(s.h.Sum(nil)) }
