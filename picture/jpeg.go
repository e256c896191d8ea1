package picture

import (
	"encoding/binary"
	"fmt"
	"image"
	"iter"

	"ninvk/codec"
)

// Markers of JPEG; ITU-T T.81, table B.1.
const (
	jpegStart  = 0xd8
	jpegEnd    = 0xd9
	jpegScan   = 0xda
	jpegFrame0 = 0xc0 // to 0xcf: a frame, by its kind of coding, but for these three
	jpegCodes  = 0xc4
	jpegFuture = 0xc8
	jpegCoding = 0xcc
	jpegLS     = 0xf7
	jpegApp1   = 0xe1
)

// jpegSegments are the segments before the image data, by their markers.
func jpegSegments(data []byte) iter.Seq2[byte, []byte] {
	return func(yield func(byte, []byte) bool) {
		for at := 2; ; {
			for at < len(data) && data[at] != 0xff { // not allowed, but passed over by decoders
				at++
			}
			for at < len(data) && data[at] == 0xff { // markers may be filled up
				at++
			}
			if at >= len(data) {
				return
			}
			marker := data[at]
			at++
			switch {
			case marker == jpegScan || marker == jpegEnd:
				return
			case marker <= 1 || marker >= 0xd0 && marker <= jpegStart: // nothing follows these
				continue
			}
			if at+2 > len(data) {
				return
			}
			length := int(binary.BigEndian.Uint16(data[at:]))
			if length < 2 || at+length > len(data) {
				return
			}
			if !yield(marker, data[at+2:at+length]) {
				return
			}
			at += length
		}
	}
}

func decodeJPEG(data []byte) (image.Image, error) {
	if what := uncommonJPEG(data); what != "" {
		return nil, unsupported(what)
	}
	img, err := codec.JPEG(data, fits)
	if err != nil {
		return nil, err
	}
	return upright(img, jpegOrientation(data)), nil
}

// uncommonJPEG names a kind of JPEG that the decoder does not know; "" where it may know it.
func uncommonJPEG(data []byte) string {
	for marker, body := range jpegSegments(data) {
		if marker == jpegLS {
			return "a JPEG-LS image"
		}
		if marker < jpegFrame0 || marker > 0xcf || marker == jpegCodes || marker == jpegFuture || marker == jpegCoding {
			continue
		}
		switch marker & 3 {
		case 3:
			return "a lossless JPEG image"
		default:
			if marker&4 != 0 {
				return "a hierarchical JPEG image"
			}
		}
		const precision, height, components = 0, 1, 5
		switch {
		case len(body) <= components:
		case body[precision] != 8:
			return fmt.Sprintf("a JPEG image of %d bits a sample", body[precision])
		case binary.BigEndian.Uint16(body[height:]) == 0:
			return "a JPEG image that tells its height after its pixels"
		case body[components] != 1 && body[components] != 3 && body[components] != 4:
			return fmt.Sprintf("a JPEG image of %d channels", body[components])
		}
		break
	}
	return ""
}
