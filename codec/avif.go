package codec

import (
	"encoding/binary"
	"image"
)

// AVIF decodes the primary image of an AVIF file, or the first of a sequence, as it is stored: what its container says
// of turning and cropping is left to the caller. It is an *image.RGBA, or an *image.RGBA64 where it has more than eight
// bits a channel. A file that does not decode is an *Error.
func AVIF(data []byte, size Size) (img image.Image, err error) {
	err = avif.run(func(s *sandbox) error {
		in, facts, err := s.open(data)
		if err != nil {
			return err
		}
		decode := func(headOnly, out uint64) error {
			const all = 0
			ok, err := s.call("decode", in, uint64(len(data)), headOnly, all,
				facts, facts+4, facts+8, facts+12, facts+16, out)
			return decoded(s, ok, err)
		}
		if err := decode(1, 0); err != nil {
			return err
		}
		head, err := s.view(facts, 12)
		if err != nil {
			return err
		}
		width, height, depth := word(head, 0), word(head, 1), word(head, 2)
		if err := size(width, height); err != nil {
			return err
		}
		bytes := 4
		if depth > 8 {
			bytes = 8
		}
		pixels, err := s.into(width*height*bytes, width*bytes, func(out uint64) error { return decode(0, out) })
		if err != nil {
			return err
		}
		frame := image.Rect(0, 0, width, height)
		if depth <= 8 {
			img = &image.RGBA{Pix: pixels, Stride: 4 * width, Rect: frame}
			return nil
		}
		for i := 0; i < len(pixels); i += 2 { // to the order of image.RGBA64
			pixels[i], pixels[i+1] = pixels[i+1], pixels[i]
		}
		img = &image.RGBA64{Pix: pixels, Stride: 8 * width, Rect: frame}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return img, nil
}

// open gives a module a file, and room for what it tells of it; both addresses are the module's.
func (s *sandbox) open(data []byte) (in, facts uint64, err error) {
	if in, err = s.give("malloc", data); err != nil {
		return 0, 0, err
	}
	facts, err = s.give("malloc", make([]byte, 32))
	return in, facts, err
}

// decoded is the error of a call of decode, which tells no reason.
func decoded(s *sandbox, ok uint64, err error) error {
	switch {
	case s.ctx.Err() != nil:
		return err
	case s.module.Memory().Size() > MaxMemory/4*3:
		return errMemory
	case err != nil || ok == 0:
		return &Error{Problem: "its decoder can't make sense of it"}
	}
	return nil
}

// into has decode fill memory of the module with an image of a size in bytes that is the host's guess, and makes sure
// that it is this size: the last row of that size is written, and nothing behind it. slack is a row's bytes.
func (s *sandbox) into(size, slack int, decode func(out uint64) error) ([]byte, error) {
	const untouched = 0xa5
	if size+slack > MaxMemory {
		return nil, errMemory
	}
	out, err := s.call("malloc", uint64(size+slack))
	if err != nil {
		return nil, err
	}
	if out == 0 {
		return nil, errMemory
	}
	room, err := s.view(out, size+slack)
	if err != nil {
		return nil, err
	}
	for _, part := range [][]byte{room[max(0, size-slack):size], room[size:]} {
		for i := range part {
			part[i] = untouched
		}
	}
	if err := decode(out); err != nil {
		return nil, err
	}
	if room, err = s.view(out, size+slack); err != nil {
		return nil, err
	}
	same := func(part []byte) bool {
		for _, b := range part {
			if b != untouched {
				return false
			}
		}
		return true
	}
	if same(room[max(0, size-slack):size]) || !same(room[size:]) {
		return nil, &Error{Problem: "its pixels are not of the size that its header says"}
	}
	return room[:size:size], nil
}

func word(b []byte, i int) int { return int(binary.LittleEndian.Uint32(b[4*i:])) }
