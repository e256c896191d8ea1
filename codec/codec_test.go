//go:build !js

package codec

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	stdjpeg "image/jpeg"
	"testing"
	"time"
)

func photo(t *testing.T) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 37, 21))
	for i := range img.Pix {
		img.Pix[i] = byte(i)
	}
	var b bytes.Buffer
	if err := stdjpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The size is judged before the image is decoded, and its error ends the decoding.
func TestSizeIsJudged(t *testing.T) {
	no := errors.New("no")
	var seen image.Point
	img, err := JPEG(photo(t), func(w, h int) error { seen = image.Pt(w, h); return no })
	if !errors.Is(err, no) || img != nil || seen != image.Pt(37, 21) {
		t.Errorf("%v, %v, size %v", img, err, seen)
	}
}

// Whatever a library is given, it ends with an error of that file, and the next one is read.
func TestNoise(t *testing.T) {
	all := func(int, int) error { return nil }
	for _, data := range [][]byte{nil, {0}, []byte("RIFF\xff\xff\xff\xffWEBPVP8L"), bytes.Repeat([]byte{0xff, 0xd8}, 100),
		make([]byte, 1<<16)} {
		for name, decode := range map[string]func([]byte, Size) (image.Image, error){"JPEG": JPEG, "WebP": WebP, "AVIF": AVIF,
			"HEIC": HEIC} {
			if _, err := decode(data, all); !errors.As(err, new(*Error)) {
				t.Errorf("%s of %q: %v", name, data[:min(len(data), 20)], err)
			}
		}
	}
	img, err := JPEG(photo(t), all)
	if err != nil || img.Bounds() != image.Rect(0, 0, 37, 21) || color.RGBAModel.Convert(img.At(3, 3)) == (color.RGBA{}) {
		t.Errorf("%v", err)
	}
}

// A library that does not end is ended, and one that takes too much memory gets none.
func TestLimits(t *testing.T) {
	before := maxTime
	maxTime = 50 * time.Millisecond
	defer func() { maxTime = before }()
	err := jpeg.run(func(s *sandbox) error {
		for {
			if _, err := s.call("width"); err != nil {
				return err
			}
		}
	})
	if !errors.Is(err, errTime) {
		t.Errorf("time: %v", err)
	}
	maxTime = before
	err = jpeg.run(func(s *sandbox) error {
		for range MaxMemory >> 28 {
			if at, err := s.call("buffer", 1<<28); err != nil || at == 0 {
				return errMemory
			}
		}
		return nil
	})
	if !errors.Is(err, errMemory) {
		t.Errorf("memory: %v", err)
	}
}
