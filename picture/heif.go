package picture

import (
	"encoding/binary"
	"image"
	"slices"
	"strings"

	"ninvk/codec"
)

// heifBrands are those of the HEIF family but AVIF's: what codec is inside, its items tell.
var heifBrands = []string{"heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "mif2", "mif3",
	"msf1", "miaf"}

// brand says whether a file is of the ISO base media format and of one of some brands, first of all or, where the first
// is none that is known here, else.
func brand(brands ...string) func([]byte) bool {
	return func(data []byte) bool {
		if len(data) < 16 || string(data[4:8]) != "ftyp" {
			return false
		}
		return slices.Contains(brands, string(data[8:12]))
	}
}

// box is a part of a file of the ISO base media format (ISO/IEC 14496-12, section 4.2).
type box struct {
	kind string
	body []byte
}

// boxes are those that data are made of, as far as they are whole.
func boxes(data []byte) []box {
	var out []box
	for len(data) >= 8 {
		size, head := uint64(binary.BigEndian.Uint32(data)), uint64(8)
		switch {
		case size == 1 && len(data) >= 16:
			size, head = binary.BigEndian.Uint64(data[8:]), 16
		case size == 0:
			size = uint64(len(data))
		}
		if size < head || size > uint64(len(data)) {
			break
		}
		out = append(out, box{string(data[4:8]), data[head:size]})
		data = data[size:]
	}
	return out
}

// field reads numbers of a box; behind its end there are zeros.
type field struct{ rest []byte }

func (f *field) number(bytes int) int {
	if bytes > len(f.rest) {
		f.rest = nil
		return 0
	}
	v := 0
	for _, b := range f.rest[:bytes] {
		v = v<<8 | int(b)
	}
	f.rest = f.rest[bytes:]
	return v
}

// full reads version and flags of a box that has them.
func full(body []byte) (version, flags int, f *field) {
	f = &field{body}
	return f.number(1), f.number(3), f
}

// heif is what the container of an HEIF file tells (ISO/IEC 23008-12).
type heif struct {
	primary    int
	kinds      map[int]string // of items
	properties []box
	of         map[int][]box // properties of items, in their order
	parts      map[int][]int // items that an item is put together from
}

func readHEIF(data []byte) *heif {
	h := &heif{kinds: map[int]string{}, of: map[int][]box{}, parts: map[int][]int{}}
	for _, top := range boxes(data) {
		if top.kind != "meta" || len(top.body) < 4 {
			continue
		}
		inside := boxes(top.body[4:])
		for _, b := range inside { // properties come before what names them
			if b.kind == "iprp" {
				for _, p := range boxes(b.body) {
					if p.kind == "ipco" {
						h.properties = boxes(p.body)
					}
				}
			}
		}
		for _, b := range inside {
			switch b.kind {
			case "pitm":
				version, _, f := full(b.body)
				h.primary = f.number(idBytes(version, 1))
			case "iinf":
				h.items(b.body)
			case "iref":
				h.references(b.body)
			case "iprp":
				for _, p := range boxes(b.body) {
					if p.kind == "ipma" {
						h.associations(p.body)
					}
				}
			}
		}
		break
	}
	return h
}

// idBytes is how long the number of an item is, which some boxes write longer from a version on.
func idBytes(version, longer int) int {
	if version >= longer {
		return 4
	}
	return 2
}

func (h *heif) items(body []byte) {
	version, _, f := full(body)
	f.number(idBytes(version, 1))
	for _, b := range boxes(f.rest) {
		if b.kind != "infe" {
			continue
		}
		version, _, f := full(b.body)
		if version < 2 {
			continue
		}
		id := f.number(idBytes(version, 3))
		f.number(2)
		if len(f.rest) >= 4 {
			h.kinds[id] = string(f.rest[:4])
		}
	}
}

func (h *heif) references(body []byte) {
	version, _, f := full(body)
	for _, b := range boxes(f.rest) {
		f := &field{b.body}
		bytes := idBytes(version, 1)
		from := f.number(bytes)
		for range f.number(2) {
			if len(f.rest) == 0 {
				break
			}
			to := f.number(bytes)
			if b.kind == "dimg" {
				h.parts[from] = append(h.parts[from], to)
			}
		}
	}
}

func (h *heif) associations(body []byte) {
	version, flags, f := full(body)
	for range f.number(4) {
		if len(f.rest) == 0 {
			break
		}
		id := f.number(idBytes(version, 1))
		for range f.number(1) {
			var index int
			if flags&1 != 0 {
				index = f.number(2) & 0x7fff
			} else {
				index = f.number(1) & 0x7f
			}
			if index >= 1 && index <= len(h.properties) {
				h.of[id] = append(h.of[id], h.properties[index-1])
			}
		}
	}
}

// codecOf is the kind of an item, or of the items that it is put together from.
func (h *heif) codecOf(item int) string {
	for range 8 { // an end, should they refer to each other
		parts := h.parts[item]
		if len(parts) == 0 {
			break
		}
		item = parts[0]
	}
	return h.kinds[item]
}

// decodeHEIF reads HEIC and AVIF.
func decodeHEIF(data []byte) (image.Image, error) {
	h := readHEIF(data)
	switch kind := h.codecOf(h.primary); kind {
	case "av01":
		return h.avif(data)
	case "hvc1", "hev1":
		return codec.HEIC(data, fits) // turned and cropped
	case "":
		if brand("avif", "avis")(data) {
			return h.avif(data) // a sequence, or damaged
		}
		if brand("hevc", "hevx", "hevm", "hevs", "msf1")(data) {
			return nil, unsupported("a sequence of HEIC images")
		}
		return nil, bad("a damaged HEIC image: its container names no image")
	default:
		names := map[string]string{"jpeg": "JPEG", "avc1": "H.264", "vvc1": "H.266", "j2k1": "JPEG 2000",
			"unci": "uncompressed data", "evc1": "EVC"}
		name := names[kind]
		if name == "" {
			name = bare(kind)
		}
		return nil, unsupported("an HEIF image with " + name + " inside")
	}
}

// bare is a text of a file without what a terminal might take for more.
func bare(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// avif decodes, crops and turns.
func (h *heif) avif(data []byte) (image.Image, error) {
	img, err := codec.AVIF(data, fits)
	if err != nil {
		return nil, err
	}
	for _, p := range h.of[h.primary] {
		f := &field{p.body}
		switch p.kind {
		case "clap":
			img = cropped(img, f)
		case "irot": // quarters of a turn, against the clock
			img = upright(img, [...]int{asStored, 8, 3, 6}[f.number(1)&3])
		case "imir": // 0: top and bottom change places, 1: left and right
			img = upright(img, [...]int{4, 2}[f.number(1)&1])
		}
	}
	return img, nil
}

// cropped is the part of an image that a clean aperture leaves: width, height and how far its centre is from the
// image's, each a fraction.
func cropped(img image.Image, f *field) image.Image {
	fraction := func() float64 {
		n, d := int32(f.number(4)), int32(f.number(4))
		if d == 0 {
			return 0
		}
		return float64(n) / float64(d)
	}
	w, h, x, y := fraction(), fraction(), fraction(), fraction()
	b := img.Bounds()
	x += (float64(b.Dx()) - w) / 2
	y += (float64(b.Dy()) - h) / 2
	part := image.Rect(int(x), int(y), int(x+w), int(y+h)).Add(b.Min).Intersect(b)
	sub, ok := img.(interface {
		SubImage(image.Rectangle) image.Image
	})
	if part.Empty() || !ok {
		return img
	}
	return sub.SubImage(part)
}
