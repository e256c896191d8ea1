package cifar10

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"ninvk/dataset"
)

// The sample is rebuilt from the whole data set in ../data with
//
//	go generate ./cifar10
//
// and comes out the same, byte for byte, with the same release of Go.
//
//go:generate go run ./internal/mksample -data ../data -out sample

// Number of images in the sample; each class has a tenth.
const (
	SampleTrain = 1000
	SampleTest  = 200
)

// SampleFiles are the files of the sample: the records of the training and of the test images, packed by gzip.
var SampleFiles = []string{"sample/train.bin.gz", "sample/test.bin.gz"}

// Sample returns the embedded sample of CIFAR-10: the first 100 training and
// the first 20 test images of each class, in the order of the files.
func Sample() (*dataset.Set, error) {
	sum := sha256.New()
	d := &dataset.Set{Name: "sample", Format: "the embedded sample of CIFAR-10", Classes: ClassNames[:], Named: true,
		Channels: Channels}
	for _, part := range []struct {
		name  string
		what  string
		split *dataset.Split
		n     int
	}{
		{SampleFiles[0], trainImage, &d.Train, SampleTrain},
		{SampleFiles[1], testImage, &d.Test, SampleTest},
	} {
		packed, err := SampleFile(part.name)
		if err != nil {
			return nil, fmt.Errorf("embedded sample: %w", err)
		}
		z, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, fmt.Errorf("embedded %s: %w", part.name, err)
		}
		b, err := dataset.ReadLimited(z, int64(part.n)*RecordBytes)
		if err != nil {
			return nil, fmt.Errorf("embedded %s: %w", part.name, err)
		}
		var r batches
		if err := r.parse("embedded "+part.name, 0, b, Classes); err != nil {
			return nil, err
		}
		sum.Write(b)
		*part.split = r.split(part.what)
	}
	d.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return d, nil
}
