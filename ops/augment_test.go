package ops_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/gpu"
	"ninvk/ops"
	"ninvk/ops/ref"
)

// dataSet is 60 images: 184,320 bytes, so the texture that holds them has six rows, and an image lies across two.
func dataSet(t *testing.T) (pixels []byte, images *ops.Images) {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 6))
	pixels = make([]byte, 60*3072)
	for i := range pixels {
		pixels[i] = byte(r.UintN(256))
	}
	images = must(ops.NewImages(device(t), "data set", 32, 32, pixels))(t)
	t.Cleanup(images.Release)
	return pixels, images
}

// matrix is a matrix given row by row.
func matrix(m [9]float64) mgl32.Mat3 {
	var out mgl32.Mat3
	for i, v := range m {
		out[i%3*3+i/3] = float32(v)
	}
	return out
}

func TestAugment(t *testing.T) {
	pixels, images := dataSet(t)
	o := ops.Augment{Mean: [3]float64{0.49, 0.48, 0.44}, Std: [3]float64{0.25, 0.24, 0.26}}
	enlarge := func(size float64) [9]float64 {
		f := 32 / size
		return [9]float64{f, 0, f/2 - 0.5, 0, f, f/2 - 0.5, 0, 0, 1}
	}
	identity := [9]float64{1, 0, 0, 0, 1, 0, 0, 0, 1}
	for _, test := range []struct {
		name  string
		size  int
		m     [9]float64
		count int
		exact bool // whole source coordinates: a copy
	}{
		{"identity", 32, identity, 65, true},
		{"flip", 32, [9]float64{-1, 0, 31, 0, 1, 0, 0, 0, 1}, 3, true},
		{"shift", 32, [9]float64{1, 0, 4, 0, 1, -3, 0, 0, 1}, 3, true},
		{"flip and shift", 32, [9]float64{-1, 0, 28, 0, 1, 2, 0, 0, 1}, 3, true},
		{"transpose", 32, [9]float64{0, 1, 0, 1, 0, 0, 0, 0, 1}, 2, true}, // rows and columns are told apart
		{"crop", 24, [9]float64{1, 0, 5, 0, 1, 8, 0, 0, 1}, 3, true},
		{"to 48", 48, enlarge(48), 4, false},
		{"to 224", 224, enlarge(224), 2, false},
		{"turned", 32, [9]float64{0.98, -0.17, 2.87, 0.17, 0.98, -2.33, 0, 0, 1}, 3, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			o.Size = test.size
			r := recorder(t, "augment", ops.Need{})
			d := r.Dev
			x := must(ops.NewTensor(d, "x", ops.Shape{N: test.count, C: 3, H: test.size, W: test.size}))(t)
			batch := must(d.NewBuffer("batch", uint64(test.count*ops.BatchBytes)))(t)
			labels := must(d.NewBuffer("labels", uint64(4*test.count)))(t)
			defer x.Buf.Release()
			defer batch.Release()
			defer labels.Release()
			fill(t, x.Buf, float32(math.NaN()))
			fill(t, labels, float32(math.NaN()))
			var entries []uint32
			at := make([]int, test.count)
			for i := range at {
				at[i] = (59 - 7*i%60 + 60) % 60
				e := ops.BatchEntry(uint32(at[i]), uint32(100+i), matrix(test.m))
				entries = append(entries, e[:]...)
			}
			check(t, d.Write(batch, 0, gpu.Bytes(entries)))
			check(t, o.Forward(r, images, batch, x, labels))
			check(t, d.Submit(r.Tape))
			got := ops.Unpack(x.Shape, readAll(t, x.Buf))
			for i, l := range words(readAll(t, labels))[:test.count] {
				if l != uint32(100+i) {
					t.Fatalf("label %d is %d, want %d", i, l, 100+i)
				}
			}
			if !test.exact {
				for i, v := range readAll(t, batch) {
					if math.Float32bits(v) != entries[i] {
						t.Fatalf("word %d of the batch changed", i)
					}
				}
			}
			one := 3 * test.size * test.size
			off := 0
			for i, k := range at {
				want := ref.Augment(pixels[k*3072:(k+1)*3072], test.m, test.size, o.Mean, o.Std)
				for j, w := range want {
					c := j / (test.size * test.size)
					e := math.Abs(float64(got[i*one+j]) - w)
					step := 1 / (255 * o.Std[c]) // of one byte
					switch {
					case !(e <= 2*step+2e-6): // two rows may round the other way and move the value twice
						t.Fatalf("image %d channel %d pixel %d is %g, the twin has %g", i, c, j%(test.size*test.size), got[i*one+j], w)
					case e > 2e-6 && test.exact:
						t.Fatalf("image %d channel %d pixel %d is %g, the very byte is %g", i, c, j%(test.size*test.size), got[i*one+j], w)
					case e > 2e-6:
						off++
					}
				}
			}
			if share := float64(off) / float64(one*test.count); share > 0.005 {
				t.Errorf("%.2f %% of the values differ by a byte step, at most 0.5 %% may", 100*share)
			} else {
				t.Logf("%.3f %% of the values differ by a byte step", 100*share)
			}
		})
	}
}

// TestAugmentCopiesBytes reads every byte back from the normalised image.
func TestAugmentCopiesBytes(t *testing.T) {
	pixels, images := dataSet(t)
	r := recorder(t, "augment", ops.Need{})
	d := r.Dev
	o := ops.Augment{Size: 32, Std: [3]float64{1, 1, 1}}
	x := must(ops.NewTensor(d, "x", ops.Shape{N: images.Len, C: 3, H: 32, W: 32}))(t)
	batch := must(d.NewBuffer("batch", uint64(images.Len*ops.BatchBytes)))(t)
	labels := must(d.NewBuffer("labels", uint64(4*images.Len)))(t)
	defer x.Buf.Release()
	defer batch.Release()
	defer labels.Release()
	var entries []uint32
	for i := range images.Len {
		e := ops.BatchEntry(uint32(i), 0, mgl32.Ident3())
		entries = append(entries, e[:]...)
	}
	check(t, d.Write(batch, 0, gpu.Bytes(entries)))
	check(t, o.Forward(r, images, batch, x, labels))
	check(t, d.Submit(r.Tape))
	for i, v := range ops.Unpack(x.Shape, readAll(t, x.Buf)) {
		if b := math.Round(float64(v) * 255); b != float64(pixels[i]) || math.Abs(float64(v)-b/255) > 1e-7 {
			t.Fatalf("byte %d is %d, copied as %g", i, pixels[i], v)
		}
	}
}

func TestImagesRefusesPartOfAnImage(t *testing.T) {
	for _, n := range []int{0, 1, 3071, 3073} {
		if _, err := ops.NewImages(device(t), "data set", 32, 32, make([]byte, n)); err == nil {
			t.Errorf("%d bytes: want an error", n)
		}
	}
}
