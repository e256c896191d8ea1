package ops_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/dataset"
	"ninvk/ops"
	"ninvk/ops/ref"
)

// randomImages puts noise with flat parts on the adapter.
func randomImages(t testing.TB, s ops.Shape) (pixels []byte, images *ops.Images) {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 6))
	pixels = make([]byte, s.N*s.C*s.H*s.W)
	for i := range pixels {
		if pixels[i] = byte(r.UintN(256)); i > 0 && i/64%2 == 0 {
			pixels[i] = pixels[i-1]
		}
	}
	return pixels, must(ops.UploadImages(device(t), "data set", s, pixels))(t)
}

// matrix is a matrix given row by row.
func matrix(m [9]float64) mgl32.Mat3 {
	var out mgl32.Mat3
	for i, v := range m {
		out[i%3*3+i/3] = float32(v)
	}
	return out
}

// round makes values those that the adapter is given.
func round(values []float64) {
	for i, v := range values {
		values[i] = float64(float32(v))
	}
}

// view is how an image of the adapter is seen.
type view struct {
	at     int
	m      [9]float64
	colour *[12]float64
}

func (v view) entry(label uint32) ops.Entry {
	e := ops.BatchEntry(uint32(v.at), label, matrix(v.m))
	if v.colour == nil {
		return e
	}
	var c mgl32.Mat3x4
	for i, x := range v.colour {
		c.Set(i/4, i%4, float32(x))
	}
	return e.Coloured(c)
}

// augment runs the operator over views, and gives the batch as NCHW.
func augment(t testing.TB, o ops.Augment, images *ops.Images, views []view) []float32 {
	t.Helper()
	d := device(t)
	r := &ops.Recorder{Dev: d, Tape: d.NewTape("augment"), Batch: len(views)}
	defer r.Tape.Release()
	x := must(ops.NewTensor(d, "x", ops.Shape{N: len(views), C: images.C, H: o.Size, W: o.Size}))(t)
	batch := must(d.NewBuffer("batch", uint64(len(views)*ops.BatchBytes)))(t)
	labels := must(d.NewBuffer("labels", uint64(4*len(views))))(t)
	defer x.Buf.Release()
	defer batch.Release()
	defer labels.Release()
	fill(t, x.Buf, float32(math.NaN()))
	fill(t, labels, float32(math.NaN()))
	var entries []ops.Entry
	for i, v := range views {
		entries = append(entries, v.entry(uint32(100+i)))
	}
	check(t, d.Write(batch, 0, ops.EntryBytes(entries)))
	check(t, o.Forward(r, images, batch, x, labels))
	check(t, d.Submit(r.Tape))
	all := readAll(t, x.Buf)
	for i, l := range words(readAll(t, labels))[:len(views)] {
		if l != uint32(100+i) {
			t.Fatalf("label %d is %d, want %d", i, l, 100+i)
		}
	}
	if now := must(d.Read(batch, 0, batch.Size))(t); !bytes.HasPrefix(now, ops.EntryBytes(entries)) {
		t.Fatal("the batch changed")
	}
	for i, v := range all[:4*x.Pixels()] {
		if i%4 >= images.C && v != 0 {
			t.Fatalf("channel %d, which there is not, holds %g", i%4, v)
		}
	}
	return ops.Unpack(x.Shape, all)
}

// compareViews compares a batch with the twin's, where exact to the byte; else one byte in 200 may be the next one, or
// what colours make of the next one.
func compareViews(t testing.TB, o ops.Augment, s ops.Shape, pixels []byte, views []view, got []float32, exact bool) {
	t.Helper()
	one, pixel := s.C*s.H*s.W, o.Size*o.Size
	off := 0
	for i, v := range views {
		twin := ref.View{C: s.C, H: s.H, W: s.W, Out: o.Size, Map: v.m, Mean: o.Mean, Std: o.Std}
		round(twin.Map[:])
		steps := 1.0
		if v.colour != nil {
			twin.Colour = new(*v.colour)
			round(twin.Colour[:])
			for row := range 3 {
				sum := 0.0
				for _, x := range twin.Colour[4*row:][:3] {
					sum += math.Abs(x)
				}
				steps = max(steps, 1+sum)
			}
		}
		for j, w := range twin.Augment(pixels[v.at*one:][:one]) {
			c := j / pixel
			e := math.Abs(float64(got[i*s.C*pixel+j]) - w)
			step := 1.0 / 255 // of one byte
			if o.Std != nil {
				step /= o.Std[c]
			}
			switch {
			case !(e <= steps*step+2e-6):
				t.Fatalf("image %d channel %d pixel %d is %g, the twin has %g", i, c, j%pixel, got[i*s.C*pixel+j], w)
			case e > 2e-6 && exact:
				t.Fatalf("image %d channel %d pixel %d is %g, the very byte is %g", i, c, j%pixel, got[i*s.C*pixel+j], w)
			case e > 2e-6:
				off++
			}
		}
	}
	if off > max(2, len(got)/200) {
		t.Errorf("%d of %d values differ by a byte step, at most one in 200 may", off, len(got))
	}
}

// resized maps the pixels of size×size to a box of an image; mirrored where across is below 0.
func resized(size int, left, top, across, down float64) [9]float64 {
	fx, fy := across/float64(size), down/float64(size)
	return [9]float64{fx, 0, left + fx/2 - 0.5, 0, fy, top + fy/2 - 0.5, 0, 0, 1}
}

var (
	dim    = &[12]float64{0.7, 0, 0, 0, 0, 0.7, 0, 0, 0, 0, 0.7, 0}
	vivid  = &[12]float64{1.6, -0.4, -0.1, -10, -0.2, 1.4, -0.1, -12, -0.2, -0.4, 1.7, 6}
	mixed  = &[12]float64{0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0} // blue, red, green: rows and columns are told apart
	shaped = ops.Shape{N: 60, C: 3, H: 32, W: 32}
)

func TestAugment(t *testing.T) {
	pixels, images := randomImages(t, shaped)
	defer images.Release()
	o := ops.Augment{Mean: []float64{0.49, 0.48, 0.44}, Std: []float64{0.25, 0.24, 0.26}}
	identity := resized(32, 0, 0, 32, 32)
	for _, test := range []struct {
		name   string
		size   int
		m      [9]float64
		count  int
		colour *[12]float64
		exact  bool // whole source coordinates: a copy
	}{
		{name: "identity", size: 32, m: identity, count: 65, exact: true},
		{name: "flip", size: 32, m: [9]float64{-1, 0, 31, 0, 1, 0, 0, 0, 1}, count: 3, exact: true},
		{name: "shift", size: 32, m: [9]float64{1, 0, 4, 0, 1, -3, 0, 0, 1}, count: 3, exact: true},
		{name: "flip and shift", size: 32, m: [9]float64{-1, 0, 28, 0, 1, 2, 0, 0, 1}, count: 3, exact: true},
		{name: "crop", size: 24, m: [9]float64{1, 0, 5, 0, 1, 8, 0, 0, 1}, count: 3, exact: true},
		{name: "to 48", size: 48, m: resized(48, 0, 0, 32, 32), count: 4},
		{name: "to 224", size: 224, m: resized(224, 0, 0, 32, 32), count: 2},
		{name: "to 16", size: 16, m: resized(16, 0, 0, 32, 32), count: 4},
		{name: "to 24, mirrored", size: 24, m: resized(24, 32, 0, -32, 32), count: 4},
		{name: "to 1", size: 1, m: resized(1, 0, 0, 32, 32), count: 4},
		{name: "a box to 13", size: 13, m: resized(13, 2.25, 7.5, 25.5, 11.75), count: 4},
		{name: "wider and lower", size: 20, m: resized(20, 3, 1, 8, 31), count: 4},
		{name: "in a border", size: 16, m: resized(16, -6, -4, 44, 40), count: 4},
		{name: "half a pixel", size: 32, m: [9]float64{1, 0, 0.5, 0, 1, 0, 0, 0, 1}, count: 2},
		{name: "dim", size: 32, m: identity, count: 2, colour: dim},
		{name: "vivid", size: 17, m: resized(17, 0, 0, 32, 32), count: 4, colour: vivid},
		{name: "mixed", size: 32, m: identity, count: 2, colour: mixed, exact: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			o.Size = test.size
			views := make([]view, test.count)
			for i := range views {
				views[i] = view{(59 - 7*i%60 + 60) % 60, test.m, test.colour}
			}
			compareViews(t, o, images.Shape, pixels, views, augment(t, o, images, views), test.exact)
		})
	}
}

// TestAugmentChannels: one to four channels, colours among them.
func TestAugmentChannels(t *testing.T) {
	for c := 1; c <= 4; c++ {
		s := ops.Shape{N: 5, C: c, H: 9, W: 7}
		pixels, images := randomImages(t, s)
		o := ops.Augment{Size: 8, Mean: []float64{0.1, 0.2, 0.3, 0.4}[:c], Std: []float64{0.5, 0.6, 0.7, 0.8}[:c]}
		var views []view
		for i := range 15 {
			views = append(views, view{i % 5, resized(8, float64(i%3), 0, 5, 9-float64(i%4)),
				[]*[12]float64{nil, dim, vivid}[i/5]})
		}
		compareViews(t, o, s, pixels, views, augment(t, o, images, views), false)
		images.Release()
	}
}

// TestAugmentRandomShapes draws images, views and limits.
func TestAugmentRandomShapes(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	adapters := device(t).Adapter.Limits
	limits := &device(t).Adapter.Limits
	defer func() { *limits = adapters }()
	for i := range 60 {
		s := ops.Shape{N: 1 + r.IntN(40), C: 1 + r.IntN(4), H: edge(r, 60), W: edge(r, 60)}
		if limits.MaxTextureDimension2D = 64 << r.IntN(4); r.IntN(3) == 0 {
			limits.MaxTextureDimension2D -= uint32(r.IntN(9))
		}
		pixels, images := randomImages(t, s)
		*limits = adapters
		o := ops.Augment{Size: edge(r, 40)}
		o.Mean, o.Std = make([]float64, s.C), make([]float64, s.C)
		for c := range s.C {
			o.Mean[c], o.Std[c] = r.Float64(), 0.1+r.Float64()
		}
		var views []view
		for range 1 + r.IntN(5) {
			left, top := r.Float64()*float64(s.W)-1, r.Float64()*float64(s.H)-1
			across, down := 1+r.Float64()*float64(s.W), 1+r.Float64()*float64(s.H)
			if r.IntN(2) == 0 {
				left, across = left+across, -across
			}
			v := view{at: r.IntN(s.N), m: resized(o.Size, left, top, across, down)}
			if r.IntN(2) == 0 {
				v.colour = &[12]float64{}
				for k := range v.colour {
					if v.colour[k] = r.Float64()*2 - 0.6; k%4 == 3 {
						v.colour[k] *= 40
					}
				}
			}
			views = append(views, v)
		}
		got := augment(t, o, images, views)
		compareViews(t, o, s, pixels, views, got, false)
		if t.Failed() {
			t.Fatalf("trial %d: %v to %d pixels, views %+v", i, s, o.Size, views)
		}
		images.Release()
	}
}

// TestAugmentCopiesBytes reads every byte back from the normalised image.
func TestAugmentCopiesBytes(t *testing.T) {
	pixels, images := randomImages(t, shaped)
	defer images.Release()
	for i, v := range augment(t, ops.Augment{Size: 32}, images, all(images)) {
		if b := math.Round(float64(v) * 255); b != float64(pixels[i]) || math.Abs(float64(v)-b/255) > 1e-7 {
			t.Fatalf("byte %d is %d, copied as %g", i, pixels[i], v)
		}
	}
}

// all are the images as they are, of as many pixels as they are high.
func all(images *ops.Images) []view {
	views := make([]view, images.N)
	for i := range views {
		views[i] = view{at: i, m: resized(images.H, 0, 0, float64(images.H), float64(images.H))}
	}
	return views
}

// TestAugmentRefuses: what can't be is said.
func TestAugmentRefuses(t *testing.T) {
	_, images := randomImages(t, ops.Shape{N: 1, C: 3, H: 200, W: 200})
	defer images.Release()
	d := device(t)
	batch := must(d.NewBuffer("batch", uint64(ops.BatchBytes)))(t)
	defer batch.Release()
	for _, c := range []struct {
		o    ops.Augment
		x    ops.Shape
		want string
	}{
		{ops.Augment{Size: 8}, ops.Shape{N: 1, C: 1, H: 8, W: 8}, "images of 3 channels"},
		{ops.Augment{Size: 8}, ops.Shape{N: 1, C: 3, H: 9, W: 9}, "made 8×8"},
		{ops.Augment{Size: 8, Mean: []float64{1}}, ops.Shape{N: 1, C: 3, H: 8, W: 8}, "1 means and 0 deviations"},
		{ops.Augment{Size: 8, Std: []float64{1, 0, 1}}, ops.Shape{N: 1, C: 3, H: 8, W: 8}, "a deviation of 0"},
		{ops.Augment{Size: 1}, ops.Shape{N: 1, C: 3, H: 1, W: 1}, "too large"},
	} {
		r := recorder(t, "augment", ops.Need{})
		x := must(ops.NewTensor(d, "x", c.x))(t)
		err := c.o.Forward(r, images, batch, x, batch)
		x.Buf.Release()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v to %v: error %v, want %q", c.o, c.x, err, c.want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("an image that is turned has an entry")
		}
	}()
	ops.BatchEntry(0, 0, mgl32.Mat3{0, 1, 0, 1, 0, 0, 0, 0, 1})
}

// pillow is what augment.py has Pillow make of images.
type pillow struct {
	Resize []struct {
		C, W, H, Out int
		Box          [4]float64 // left, top, right, bottom
		Pixels       []byte
	}
	Enhance []struct {
		What    string
		C, Size int
		Factor  float64
		Pixels  []byte
	}
}

// formula is the script's image.
func formula(s ops.Shape) []byte {
	p := make([]byte, 0, s.C*s.H*s.W)
	for c := range s.C {
		for y := range s.H {
			for x := range s.W {
				p = append(p, byte((3*x*x+5*y*y+x*y+85*c)/8))
			}
		}
	}
	return p
}

// TestAugmentIsPillows: the adapter and the twin make of images what Pillow does, within one of 255.
func TestAugmentIsPillows(t *testing.T) {
	var golden pillow
	check(t, json.Unmarshal(must(os.ReadFile("ref/testdata/augment.json"))(t), &golden))
	if len(golden.Resize) == 0 || len(golden.Enhance) == 0 {
		t.Fatal("no goldens")
	}
	compare := func(name string, s ops.Shape, size int, v view, want []byte, exact bool) {
		t.Helper()
		pixels := formula(s)
		images := must(ops.UploadImages(device(t), "image", s, pixels))(t)
		defer images.Release()
		got := augment(t, ops.Augment{Size: size}, images, []view{v})
		twin := ref.View{C: s.C, H: s.H, W: s.W, Out: size, Map: v.m, Colour: v.colour}.Augment(pixels)
		off := 0
		for i, w := range want {
			a, b := math.Round(255*float64(got[i])), math.Round(255*twin[i])
			if math.Abs(a-float64(w)) > 1 || math.Abs(b-float64(w)) > 1 {
				t.Fatalf("%s: value %d is %g, the twin has %g, Pillow %d", name, i, a, b, w)
			}
			if a != float64(w) {
				off++
			}
		}
		// Pillow's sums are of fixed-point weights and of float32; what is next to the border of two bytes may differ.
		if off > max(3, len(want)/100) || exact && off > 0 {
			t.Errorf("%s: %d of %d values are one off Pillow's", name, off, len(want))
		}
	}
	for _, c := range golden.Resize {
		name := fmt.Sprintf("%d×%d×%d, %v to %d", c.C, c.H, c.W, c.Box, c.Out)
		left, top, across, down := c.Box[0], c.Box[1], c.Box[2]-c.Box[0], c.Box[3]-c.Box[1]
		whole := across == float64(c.Out) && down == float64(c.Out) && left == math.Floor(left)
		compare(name, ops.Shape{N: 1, C: c.C, H: c.H, W: c.W}, c.Out, view{m: resized(c.Out, left, top, across, down)},
			c.Pixels, whole)
	}
	for _, c := range golden.Enhance {
		s := ops.Shape{N: 1, C: c.C, H: c.Size, W: c.Size}
		grey := dataset.Grey(dataset.Shape{C: c.C, H: c.Size, W: c.Size}, formula(s))
		factors := map[string]float64{"Brightness": 1, "Contrast": 1, "Color": 1}
		factors[c.What] = c.Factor
		m := dataset.Colours(factors["Brightness"], factors["Contrast"], factors["Color"], grey)
		v := view{m: resized(c.Size, 0, 0, float64(c.Size), float64(c.Size)), colour: &[12]float64{}}
		for i := range v.colour {
			v.colour[i] = float64(m.At(i/4, i%4))
		}
		compare(fmt.Sprintf("%s %g of %d channels", c.What, c.Factor, c.C), s, c.Size, v, c.Pixels, c.Factor == 1)
	}
}
