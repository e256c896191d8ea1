package train

import (
	"fmt"
	"time"

	"ninvk/dataset"
	"ninvk/gpu"
	"ninvk/ops"
)

// A set whose images take no more than so many bytes is kept on the adapter; a larger one is read while steps run.
// A software driver's memory is the machine's own.
const (
	mostResident    = 2 << 30
	mostResidentCPU = 512 << 20
)

// OpenFeed brings the images of a split of a set to the adapter, as stream says: kept there, of which progress is told,
// or read in batches of at most the given size.
func OpenFeed(d *gpu.Device, label string, set *dataset.Set, s dataset.Split, fit dataset.Fit, batch int, stream string,
	progress func(done, total int)) (*Feed, error) {
	if fits(d, set, stream) {
		return Upload(d, label, s, fit, progress)
	}
	return Stream(d, label, s, fit, batch)
}

// fits says whether the images of a set are kept on the adapter, by what --stream says.
func fits(d *gpu.Device, s *dataset.Set, stream string) bool {
	switch stream {
	case StreamAlways:
		return false
	case StreamNever:
		return true
	}
	most := mostResident
	if d.Adapter.CPU() {
		most = mostResidentCPU
	}
	return s.Train.Len()*s.Train.Shape.Bytes()+s.Test.Len()*s.Test.Shape.Bytes() <= most
}

// Feed brings the images of a split to the adapter: all of them once, or those of a batch when it is their turn. Either
// way a network sees the same.
type Feed struct {
	Split  dataset.Split
	Fit    dataset.Fit // how images that are no squares become some
	Images *ops.Images // what a step is given

	// Of a feed that reads while steps run; reader is nil where all images are on the adapter.
	reader *dataset.Reader
	next   int      // batches written
	places []uint32 // of the present batch in Images
}

// feedSlots is how many batches a ring holds: while the adapter works on one, the next is written.
const feedSlots = 2

// Upload puts the images of a split on the adapter, and tells progress of it if that is not nil. Those of files are
// read by all cores.
func Upload(d *gpu.Device, label string, s dataset.Split, fit dataset.Fit, progress func(done, total int)) (*Feed,
	error) {
	images, err := ops.NewImages(d, label, room(s.Shape, s.Len()))
	if err != nil {
		return nil, err
	}
	f := &Feed{Split: s, Fit: fit, Images: images}
	if m, ok := s.Source.(dataset.Memory); ok {
		err = images.Upload(0, m.Pixels[:s.Len()*s.Shape.Bytes()])
	} else {
		err = f.upload(progress)
	}
	if err != nil {
		images.Release()
		return nil, err
	}
	return f, nil
}

// upload reads the images in portions, so that they need not all be in memory.
func (f *Feed) upload(progress func(done, total int)) error {
	const bytes = 4 << 20
	portion := max(1, bytes/f.Split.Shape.Bytes())
	r := dataset.NewReader(f.Split, portion)
	defer r.Close()
	r.Start(dataset.Order(0, 0, f.Split.Len(), false), portion)
	for at := 0; at < f.Split.Len(); at += portion {
		pixels, err := r.Next()
		if err != nil {
			return err
		}
		if err := f.Images.Upload(at, pixels); err != nil {
			return err
		}
		if progress != nil {
			progress(min(at+portion, f.Split.Len()), f.Split.Len())
		}
	}
	return nil
}

// Stream is a feed that reads the images of a split while steps run, in batches of at most the given size.
func Stream(d *gpu.Device, label string, s dataset.Split, fit dataset.Fit, batch int) (*Feed, error) {
	images, err := ops.NewImages(d, label, room(s.Shape, feedSlots*batch))
	if err != nil {
		return nil, err
	}
	return &Feed{Split: s, Fit: fit, Images: images, reader: dataset.NewReader(s, batch),
		places: make([]uint32, batch)}, nil
}

// room is for n images of a shape.
func room(s dataset.Shape, n int) ops.Shape { return ops.Shape{N: n, C: s.C, H: s.H, W: s.W} }

// Begin says which images Batch will be asked for, in order, and how many at a time.
func (f *Feed) Begin(order []uint32, batch int) {
	if f.reader != nil {
		f.reader.Start(order, batch)
	}
}

// Batch makes sure that the next images of those that Begin was told are on the adapter for the steps submitted after
// it, and returns their places in Images.
func (f *Feed) Batch(images []uint32) ([]uint32, error) {
	if f.reader == nil {
		return images, nil
	}
	pixels, err := f.reader.Next()
	if err != nil {
		return nil, err
	}
	if n := len(images) * f.Split.Shape.Bytes(); len(pixels) != n {
		return nil, fmt.Errorf("%d bytes of images were read, %d are needed", len(pixels), n)
	}
	first := f.next % feedSlots * len(f.places)
	f.next++
	for i := range images {
		f.places[i] = uint32(first + i)
	}
	return f.places[:len(images)], f.Images.Write(first, pixels)
}

// Waited is how long batches have been waited for in all; 0 where all images are on the adapter.
func (f *Feed) Waited() time.Duration {
	if f.reader == nil {
		return 0
	}
	return f.reader.Waited()
}

// Release frees what the feed holds.
func (f *Feed) Release() {
	if f.reader != nil {
		f.reader.Close()
	}
	f.Images.Release()
}
