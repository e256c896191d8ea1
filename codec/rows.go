//go:build !js

package codec

import (
	"errors"
	"fmt"
	"image"
)

// JPEG decodes a JPEG file: Huffman and arithmetic coding, sequential and progressive, any sampling, with chroma
// interpolated. It is an *image.Gray, *image.CMYK or *image.RGBA. Samples of CMYK are inverted, as all writers have
// them since Adobe's Photoshop. A file that does not decode is an *Error.
func JPEG(data []byte, size Size) (image.Image, error) { return jpeg.rows(data, size) }

// WebP decodes a WebP file, or of an animation the first frame on its canvas, to an *image.NRGBA, with chroma
// interpolated. A file that does not decode is an *Error.
func WebP(data []byte, size Size) (image.Image, error) { return webp.rows(data, size) }

// HEIC decodes the primary image of an HEIF file with HEVC, turned and cropped as its container says, to an
// *image.NRGBA of eight bits a channel. A file that does not decode is an *Error.
func HEIC(data []byte, size Size) (image.Image, error) { return heic.rows(data, size) }

// AVIF decodes the primary image of an AVIF file, or the first of a sequence, as it is stored, to an *image.NRGBA of
// eight bits a channel, or an *image.RGBA where nothing is transparent, with chroma interpolated: what its container
// says of turning and cropping is left to the caller. A file that does not decode is an *Error.
func AVIF(data []byte, size Size) (image.Image, error) {
	var pixels int
	img, err := avif.rows(data, func(width, height int) error {
		pixels = width * height
		return size(width, height)
	})
	// The most that a level of AV1 allows (its specification, annex A.3): encoders write larger frames, which may be whole
	// and yet beyond the decoder.
	const most = 35_651_584
	if e := (*Error)(nil); errors.As(err, &e) && e.Kind == Damaged && pixels > most {
		problem := fmt.Sprintf("%s; it has %.1f million pixels, the levels of AV1 allow %.1f", e.Problem, float64(pixels)/1e6,
			most/1e6)
		return nil, &Error{problem, Unsupported}
	}
	return img, err
}

// rows decodes by a module that gives an image row by row.
func (l *library) rows(data []byte, size Size) (img image.Image, err error) {
	err = l.run(func(s *sandbox) error {
		if _, err := s.give("buffer", data); err != nil {
			return err
		}
		if err := s.step("open"); err != nil {
			return err
		}
		head, err := s.numbers("width", "height", "channels")
		if err != nil {
			return err
		}
		width, height, channels := head[0], head[1], head[2]
		if err := size(width, height); err != nil {
			return err
		}
		if err := s.step("start"); err != nil {
			return err
		}
		var put func(y int, row []byte)
		if img, put = l.canvas(width, height, channels); img == nil {
			return &Error{Problem: "it has neither one, three nor four channels"}
		}
		for y := range height {
			at, err := s.call("next")
			if err != nil {
				return s.explain(err)
			}
			row, err := s.view(at, width*channels)
			if err != nil {
				return err
			}
			put(y, row)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return img, nil
}

// canvas is an image of so many channels, and what puts a row into it; nil where there are none of that kind.
func (l *library) canvas(width, height, channels int) (image.Image, func(y int, row []byte)) {
	frame := image.Rect(0, 0, width, height)
	switch {
	case channels == 1:
		m := image.NewGray(frame)
		return m, func(y int, row []byte) { copy(m.Pix[y*m.Stride:], row) }
	case channels == 3:
		m := image.NewRGBA(frame)
		return m, func(y int, row []byte) {
			out := m.Pix[y*m.Stride:][:4*width]
			for x := range width {
				out[4*x], out[4*x+1], out[4*x+2], out[4*x+3] = row[3*x], row[3*x+1], row[3*x+2], 0xff
			}
		}
	case channels == 4 && l == &jpeg:
		m := image.NewCMYK(frame)
		return m, func(y int, row []byte) {
			for i, v := range row {
				m.Pix[y*m.Stride+i] = 0xff - v
			}
		}
	case channels == 4:
		m := image.NewNRGBA(frame)
		return m, func(y int, row []byte) { copy(m.Pix[y*m.Stride:], row) }
	}
	return nil, nil
}

// step calls a function that returns 0 where it fails.
func (s *sandbox) step(name string) error {
	ok, err := s.call(name)
	if err == nil && ok != 0 {
		return nil
	}
	return s.explain(err)
}

// explain is what the module says of a failure, if anything.
func (s *sandbox) explain(err error) error {
	if s.ctx.Err() != nil {
		return err
	}
	at, failed := s.call("problem")
	if failed != nil {
		return errors.Join(err, failed)
	}
	kind, failed := s.call("kind")
	if failed != nil {
		return errors.Join(err, failed)
	}
	switch text := s.text(at); {
	case Kind(kind) == Limit:
		return errMemory
	case text != "":
		return &Error{Problem: text, Kind: Kind(kind)}
	}
	return &Error{Problem: "its decoder failed"}
}
