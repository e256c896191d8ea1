package ops_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"ninvk/ops"
)

// bytesOf reads images back, as they are.
func bytesOf(t *testing.T, images *ops.Images, size int) []byte {
	t.Helper()
	var b []byte
	for _, v := range augment(t, ops.Augment{Size: size}, images, all(images)) {
		b = append(b, byte(math.Round(float64(v)*255)))
	}
	return b
}

// TestImages writes images of any size in pieces, several side by side or over several rows and layers of a texture,
// and reads all back.
func TestImages(t *testing.T) {
	adapters := device(t).Adapter.Limits
	limits := &device(t).Adapter.Limits
	defer func() { *limits = adapters }()
	for _, c := range []struct {
		s    ops.Shape
		side uint32 // of the textures
	}{
		{ops.Shape{N: 7, C: 3, H: 8, W: 8}, 8192},
		{ops.Shape{N: 31, C: 1, H: 5, W: 5}, 64}, // images of 25 bytes: 28 in the texture
		{ops.Shape{N: 50, C: 3, H: 8, W: 8}, 32}, // of 48 texels, over rows
		{ops.Shape{N: 40, C: 1, H: 9, W: 9}, 33},
		{ops.Shape{N: 25, C: 3, H: 13, W: 13}, 40},
		{ops.Shape{N: 9, C: 4, H: 11, W: 11}, 30},
		{ops.Shape{N: 5, C: 2, H: 28, W: 28}, 100},
	} {
		t.Run(fmt.Sprintf("%v in %d", c.s, c.side), func(t *testing.T) {
			limits.MaxTextureDimension2D = c.side
			images := must(ops.NewImages(device(t), "images", c.s))(t)
			*limits = adapters
			defer images.Release()
			one := c.s.C * c.s.H * c.s.W
			want := make([]byte, c.s.N*one)
			for i := range want {
				want[i] = byte(i*i>>7 + i)
			}
			check(t, images.Upload(0, want))
			if got := bytesOf(t, images, c.s.H); !slices.Equal(got, want) {
				t.Fatal("images are not what was uploaded")
			}
			// Pieces of any length, each seen by what comes after it alone.
			for from, n := 0, 1; from < c.s.N; from, n = from+n, n%5+1 {
				piece := want[from*one : min(from+n, c.s.N)*one]
				for i := range piece {
					piece[i] ^= 0x5a
				}
				check(t, images.Write(from, piece))
				if from%2 == 0 {
					if got := bytesOf(t, images, c.s.H); !slices.Equal(got, want) {
						t.Fatalf("images are not what was written up to %d", from+n)
					}
				}
			}
			if got := bytesOf(t, images, c.s.H); !slices.Equal(got, want) {
				t.Fatal("images are not what was written")
			}
		})
	}
}

// TestImagesInTurn: what was submitted before images are replaced sees those that were there.
func TestImagesInTurn(t *testing.T) {
	s := ops.Shape{N: 4, C: 1, H: 16, W: 16}
	d := device(t)
	images := must(ops.NewImages(d, "ring", s))(t)
	defer images.Release()
	const steps = 20
	one := ops.Shape{N: 1, C: 1, H: 16, W: 16}
	batch := must(d.NewBuffer("batch", uint64(ops.BatchBytes)))(t)
	labels := must(d.NewBuffer("labels", 4))(t)
	defer batch.Release()
	defer labels.Release()
	var outs []ops.Tensor
	pixels := make([]byte, 256)
	for step := range steps {
		for i := range pixels {
			pixels[i] = byte(step*7 + i)
		}
		check(t, images.Write(step%s.N, pixels))
		e := view{at: step % s.N, m: resized(16, 0, 0, 16, 16)}.entry(0)
		check(t, d.Write(batch, 0, ops.EntryBytes([]ops.Entry{e})))
		x := must(ops.NewTensor(d, "x", one))(t)
		defer x.Buf.Release()
		outs = append(outs, x)
		r := &ops.Recorder{Dev: d, Tape: d.NewTape("augment"), Batch: 1}
		defer r.Tape.Release()
		check(t, ops.Augment{Size: 16}.Forward(r, images, batch, x, labels))
		check(t, d.Submit(r.Tape))
	}
	for step, x := range outs {
		for i, v := range ops.Unpack(one, readAll(t, x.Buf)) {
			if got := byte(math.Round(float64(v) * 255)); got != byte(step*7+i) {
				t.Fatalf("step %d sees %d at %d, want %d", step, got, i, byte(step*7+i))
			}
		}
	}
}

// TestImagesWriteDoesNotAllocate: images of which a row of texels holds a whole number, and those that are moved apart.
func TestImagesWriteDoesNotAllocate(t *testing.T) {
	for _, side := range []int{8, 9} {
		s := ops.Shape{N: 64, C: 3, H: side, W: side}
		images := must(ops.NewImages(device(t), "images", s))(t)
		defer images.Release()
		pixels := make([]byte, 32*3*side*side)
		write := func() { check(t, images.Write(16, pixels)) }
		write()
		if n := testing.AllocsPerRun(50, write); n != 0 {
			t.Errorf("%v: %g allocations a write", s, n)
		}
		check(t, device(t).Flush("writes"))
	}
}

func TestImagesRefuse(t *testing.T) {
	d := device(t)
	for _, n := range []int{0, 1, 3071, 3073} {
		if _, err := ops.UploadImages(d, "data set", ops.Shape{C: 3, H: 32, W: 32}, make([]byte, n)); err == nil {
			t.Errorf("%d bytes: want an error", n)
		}
	}
	for _, s := range []ops.Shape{{N: 0, C: 3, H: 8, W: 8}, {N: 1, C: 5, H: 8, W: 8}, {N: 1, C: 0, H: 8, W: 8},
		{N: 1, C: 1, H: 0, W: 8},
		{N: 1, C: 1, H: 1, W: 100000}, {N: 1, C: 1, H: 200000, W: 2000}} {
		if _, err := ops.NewImages(d, "data set", s); err == nil || !strings.Contains(err.Error(), "data set") {
			t.Errorf("%v: error %v", s, err)
		}
	}
	images := must(ops.NewImages(d, "data set", ops.Shape{N: 4, C: 1, H: 2, W: 2}))(t)
	defer images.Release()
	for _, c := range []struct{ first, bytes int }{{0, 5}, {4, 4}, {-1, 4}, {1, 16}} {
		if err := images.Write(c.first, make([]byte, c.bytes)); err == nil {
			t.Errorf("%d bytes at %d: want an error", c.bytes, c.first)
		}
	}
	check(t, images.Write(4, nil))
}
