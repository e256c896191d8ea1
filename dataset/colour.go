package dataset

import (
	"math"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/picture"
)

// Colours is the colour matrix (see View) of an image whose mean grey level is grey, with brightness, contrast and
// saturation multiplied, in this order. Each alone, with the others 1, is what Pillow's ImageEnhance makes of the
// image; together they differ where values leave 0…255 on the way, which a matrix does not see. Of a grey image
// saturation changes nothing.
func Colours(brightness, contrast, saturation float64, grey float32) mgl32.Mat3x4 {
	scale := brightness * contrast
	about := (1 - contrast) * math.Floor(brightness*float64(grey)+0.5) // Pillow's mean is a whole number
	var m mgl32.Mat3x4
	for row := range 3 {
		for column, part := range luma {
			v := (1 - saturation) * part
			if row == column {
				v += saturation
			}
			m.Set(row, column, float32(scale*v))
		}
		m.Set(row, 3, float32(about))
	}
	return m
}

// luma is what red, green and blue have in a grey level (ITU-R 601-2).
var luma = [3]float64{0.299, 0.587, 0.114}

// Grey is the mean grey level, 0 to 255, of an image of shape s: of its first channel, or of what Pillow's mode L makes
// of red, green and blue.
func Grey(s Shape, pixels []byte) float32 {
	n := s.H * s.W
	sum := 0
	if s.C < 3 {
		for _, v := range pixels[:n] {
			sum += int(v)
		}
		return float32(float64(sum) / float64(n))
	}
	red, green, blue := pixels[:n], pixels[n:2*n], pixels[2*n:3*n]
	for i := range n {
		sum += int(picture.L(red[i], green[i], blue[i]))
	}
	return float32(float64(sum) / float64(n))
}

// Measured is the split with a source that notes the mean grey level of each image as it is read: levels[i] holds that
// of image i from then on. Those of images in memory are known at once.
func (s Split) Measured() (measured Split, levels []float32) {
	levels = make([]float32, s.Len())
	if m, ok := s.Source.(Memory); ok {
		for i := range levels {
			levels[i] = Grey(s.Shape, m.Pixels[i*s.Shape.Bytes():])
		}
		return s, levels
	}
	s.Source = measuring{s.Source, s.Shape, levels}
	return s, levels
}

type measuring struct {
	Source
	shape  Shape
	levels []float32
}

// Read notes what it finds.
func (m measuring) Read(i int, dst []byte) error {
	if err := m.Source.Read(i, dst); err != nil {
		return err
	}
	m.levels[i] = Grey(m.shape, dst)
	return nil
}
