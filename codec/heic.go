package codec

import "encoding/binary"

// Planes are an image as a video codec stores it.
type Planes struct {
	Width, Height int
	Colour        [3]*Plane // luma and two of chroma, where there is colour; or red, green and blue
	Alpha         *Plane    // nil: all is opaque
	RGB           bool
	Matrix        int  // how luma and chroma are made of red, green and blue: MatrixCoefficients of ITU-T H.273
	Full          bool // all values of a sample are used; else, of eight bits, luma has 16 to 235 and chroma 16 to 240
}

// Plane is one channel; of chroma it may have half the width and height of the image, rounded up.
type Plane struct {
	Width, Height int
	Samples       []uint16 // row by row; the highest bits count, whatever the file's depth is
}

// Numbers of libheif.
const (
	heifRGB   = 1 // colour space
	heifAlpha = 6 // channel; those of a colour space come in order
	heifRed   = 3
)

// HEIC decodes the primary image of an HEIF file with HEVC, turned and cropped as its container says. A file that does
// not decode is an *Error.
func HEIC(data []byte, size Size) (p *Planes, err error) {
	err = heic.run(func(s *sandbox) error {
		if _, err := s.give("buffer", data); err != nil {
			return err
		}
		if err := s.step("open"); err != nil {
			return err
		}
		head, err := s.numbers("width", "height")
		if err != nil {
			return err
		}
		p = &Planes{Width: head[0], Height: head[1]}
		if err := size(p.Width, p.Height); err != nil {
			return err
		}
		if err := s.step("start"); err != nil {
			return err
		}
		kind, err := s.numbers("space", "matrix", "full")
		if err != nil {
			return err
		}
		p.RGB, p.Matrix, p.Full = kind[0] == heifRGB, kind[1], kind[2] != 0
		first := uint64(0)
		if p.RGB {
			first = heifRed
		}
		for i := range p.Colour {
			if p.Colour[i], err = s.plane(first + uint64(i)); err != nil {
				return err
			}
		}
		if p.Alpha, err = s.plane(heifAlpha); err != nil {
			return err
		}
		return p.check()
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// plane is a channel, nil where there is none.
func (s *sandbox) plane(channel uint64) (*Plane, error) {
	at, err := s.call("plane", channel)
	if err != nil || at == 0 {
		return nil, err
	}
	facts, err := s.numbers("stride", "plane_width", "plane_height", "bits")
	if err != nil {
		return nil, err
	}
	stride, width, height, bits := facts[0], facts[1], facts[2], facts[3]
	bytes := (bits + 7) / 8
	if width < 1 || height < 1 || bits < 1 || bits > 16 || stride < width*bytes || stride > MaxMemory/height {
		return nil, &Error{Problem: "a plane of it has no size"}
	}
	raw, err := s.view(at, stride*(height-1)+width*bytes)
	if err != nil {
		return nil, err
	}
	p := &Plane{width, height, make([]uint16, width*height)}
	for y := range height {
		row := raw[y*stride:]
		for x := range width {
			v := uint16(row[x*bytes])
			if bytes == 2 {
				v = binary.LittleEndian.Uint16(row[2*x:])
			}
			p.Samples[y*width+x] = v << (16 - bits)
		}
	}
	return p, nil
}

// check makes sure that the planes go together.
func (p *Planes) check() error {
	fit := func(q *Plane, across, down int) bool {
		return q.Width == (p.Width+across-1)/across && q.Height == (p.Height+down-1)/down
	}
	chroma := p.Colour[1]
	ok := p.Colour[0] != nil && fit(p.Colour[0], 1, 1) && (chroma == nil) == (p.Colour[2] == nil) &&
		(p.Alpha == nil || fit(p.Alpha, 1, 1))
	if ok && chroma != nil {
		ok = chroma.Width == p.Colour[2].Width && chroma.Height == p.Colour[2].Height &&
			(fit(chroma, 1, 1) || !p.RGB && (fit(chroma, 2, 1) || fit(chroma, 2, 2)))
	}
	if !ok || p.RGB && chroma == nil {
		return &Error{Problem: "its planes are not of the size that its header says"}
	}
	return nil
}
