// Command mksample makes the embedded sample out of the whole of CIFAR-10. It takes the first 100 training and the
// first 20 test images of each class, in the order of the files. Run it by `go generate ./cifar10`.
package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"ninvk/cifar10"
	"ninvk/cifar10/published"
	"ninvk/dataset"
)

func main() {
	dir := flag.String("data", "data", "folder with the six official files")
	out := flag.String("out", "sample", "folder to write train.bin.gz and test.bin.gz to")
	flag.Parse()
	if err := run(*dir, *out); err != nil {
		fmt.Fprintln(os.Stderr, "mksample:", err)
		os.Exit(1)
	}
}

func run(dir, out string) error {
	if _, err := published.Verify(dir); err != nil {
		return err
	}
	d, err := cifar10.Open(dir)
	if err != nil {
		return err
	}
	for _, part := range []struct {
		name     string
		split    dataset.Split
		perClass int
	}{
		{"train.bin.gz", d.Train, cifar10.SampleTrain / cifar10.Classes},
		{"test.bin.gz", d.Test, cifar10.SampleTest / cifar10.Classes},
	} {
		records, err := pick(part.split, part.perClass)
		if err != nil {
			return err
		}
		packed, err := pack(records)
		if err != nil {
			return err
		}
		if err := replace(filepath.Join(out, part.name), packed); err != nil {
			return err
		}
	}
	return nil
}

// pick returns the records of the first perClass images of each class, in the split's order.
func pick(s dataset.Split, perClass int) ([]byte, error) {
	var taken [cifar10.Classes]int
	var records []byte
	for i, label := range s.Labels {
		if taken[label] == perClass {
			continue
		}
		taken[label]++
		records = append(records, byte(label))
		records = append(records, make([]byte, cifar10.ImageBytes)...)
		if err := s.Read(i, records[len(records)-cifar10.ImageBytes:]); err != nil {
			return nil, err
		}
	}
	for label, n := range taken {
		if n < perClass {
			return nil, fmt.Errorf("only %d images of class %s, expected at least %d", n, cifar10.ClassNames[label], perClass)
		}
	}
	return records, nil
}

// pack compresses without a name or time, so that equal records make equal files.
func pack(records []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(records); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// replace writes a file whole or not at all.
func replace(path string, b []byte) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, b, 0o666); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
