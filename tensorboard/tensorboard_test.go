package tensorboard

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ninvk/tensorboard/tbtest"
)

var at = time.Unix(1700000000, 250_000_000)

// dot is a picture with a red pixel.
func dot() image.Image {
	img := image.NewRGBA(image.Rect(0, 0, 3, 2))
	for i := range img.Pix {
		img.Pix[i] = 0xff
	}
	img.SetRGBA(1, 1, color.RGBA{0xff, 0, 0, 0xff})
	return img
}

// example is a file of all kinds of events.
func example(t testing.TB) []byte {
	t.Helper()
	b := AppendStart(nil, at, 1)
	b = AppendScalars(b, at, 1, []Scalar{{"loss/batch", 2.3125}, {"learning_rate", 0.1}})
	b = AppendScalars(b, at, 782, []Scalar{{"accuracy/test", 0.7539}, {"zero", 0}, {"huge", 3e38}, {"nan", math.NaN()}})
	b, err := AppendImage(b, at, 300_000, "pictures/dot", dot())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReadBack(t *testing.T) {
	got, err := tbtest.Read(example(t))
	if err != nil {
		t.Fatal(err)
	}
	const when = 1700000000.25
	picture := got[len(got)-1].Values[0].PNG
	want := []tbtest.Event{
		{Time: when, Version: "brain.Event:2"},
		{Time: when, Step: 1, Session: 1},
		{Time: when, Step: 1, Values: []tbtest.Value{{Tag: "loss/batch", Simple: 2.3125},
			{Tag: "learning_rate", Simple: 0.1}}},
		{Time: when, Step: 782, Values: []tbtest.Value{{Tag: "accuracy/test", Simple: 0.7539}, {Tag: "zero"},
			{Tag: "huge", Simple: 3e38}, {Tag: "nan", Simple: float32(math.NaN())}}},
		{Time: when, Step: 300_000,
			Values: []tbtest.Value{{Tag: "pictures/dot", Height: 2, Width: 3, Colorspace: 3, PNG: picture}}},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("events (-written +read):\n%s", diff)
	}
	img, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	if r, g, _, _ := img.At(1, 1).RGBA(); img.Bounds() != dot().Bounds() || r != 0xffff || g != 0 {
		t.Errorf("the picture came back as %v, with %v in its midst", img.Bounds(), img.At(1, 1))
	}
}

// What TensorBoard's own writer makes of the same events is the same, byte for byte.
func TestAsTensorBoardWrites(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("testdata", "events.tfevents"))
	if err != nil {
		t.Fatal(err)
	}
	b := example(t)
	events, err := tbtest.Read(want)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := tbtest.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	last := len(events) - 1
	if diff := cmp.Diff(events[:last], mine[:last], cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("events (-TensorBoard's +ours):\n%s", diff)
	}
	// The picture's compression may change with the version of Go.
	if bytes.Equal(events[last].Values[0].PNG, mine[last].Values[0].PNG) && !bytes.Equal(want, b) {
		t.Errorf("the bytes differ:\n%x\n%x", want, b)
	}
}

// The checksum's test vectors of RFC 3720, B.4, masked as in TensorFlow's crc32c.h.
func TestChecksum(t *testing.T) {
	mask := func(c uint32) uint32 { return (c>>15 | c<<17) + 0xa282ead8 }
	rising := make([]byte, 32)
	for i := range rising {
		rising[i] = byte(i)
	}
	for _, c := range []struct {
		b    []byte
		want uint32
	}{{make([]byte, 32), 0x8a9136aa}, {bytes.Repeat([]byte{0xff}, 32), 0x62a8ab43}, {rising, 0x46dd794e}} {
		if got := checksum(c.b); got != mask(c.want) {
			t.Errorf("checksum of %x: %08x, want %08x", c.b, got, mask(c.want))
		}
	}
}

func TestName(t *testing.T) {
	name := Name(at)
	if name != "events.out.tfevents.1700000000.ninvk" {
		t.Errorf("name %s", name)
	}
	if begun, ok := Begun(name); !ok || begun.Unix() != at.Unix() {
		t.Errorf("begun at %v (%v)", begun, ok)
	}
	for _, other := range []string{"", "events.out.tfevents.1700000000.host", "../" + name, name + ".tmp",
		"events.out.tfevents.17.ninvk"} {
		if _, ok := Begun(other); ok {
			t.Errorf("%q was taken for an event file of ours", other)
		}
	}
}

// Every flipped bit is noticed by one of the two checksums.
func TestEveryBitCounts(t *testing.T) {
	b := AppendScalars(AppendStart(nil, at, 1), at, 1, []Scalar{{"loss", 2}})
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		if _, err := tbtest.Read(b); err == nil {
			t.Errorf("bit %d of byte %d was flipped unnoticed", i%8, i/8)
		}
		b[i/8] ^= 1 << (i % 8)
	}
}
