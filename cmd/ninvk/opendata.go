package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"ninvk/cifar10"
	"ninvk/dataset"
	"ninvk/dataset/archive"
	"ninvk/dataset/cifar"
	"ninvk/dataset/folder"
	"ninvk/dataset/idx"
	"ninvk/dataset/packed"
	"ninvk/gpu"
)

// formats are what --data takes, in the order in which they are tried.
var formats = withArchives([]dataset.Format{cifar10.Data, cifar.Binary100, cifar.Pickles10, cifar.Pickles100,
	idx.Format, packed.Format, folder.Table, folder.Format})

func withArchives(formats []dataset.Format) []dataset.Format {
	return append(formats, archive.Format(formats))
}

// openDataAndDevice reads the data while it opens the adapter. What is wrong with the data is said first.
func openDataAndDevice(ctx context.Context, name, adapter string, o dataset.Options) (data *dataset.Set,
	dev *gpu.Device, err error) {
	var noData error
	var reading sync.WaitGroup
	reading.Go(func() { data, noData = openData(ctx, name, o) })
	dev, err = openDevice(adapter)
	reading.Wait()
	if noData != nil {
		if err == nil {
			dev.Close()
		}
		return nil, nil, noData
	}
	return data, dev, err
}

// openData opens what --data names, unless it is stopped, and says what it is.
func openData(ctx context.Context, name string, o dataset.Options) (*dataset.Set, error) {
	d, err := untilStopped(ctx, func() (*dataset.Set, error) { return namedData(name, o) })
	if err != nil {
		return nil, err
	}
	for _, note := range append([]string{d.Format}, d.Notes...) {
		fmt.Fprintf(os.Stderr, "%s: %s\n", shown(d.Name), note)
	}
	return d, nil
}

// namedData is openData without a word of the data.
func namedData(name string, o dataset.Options) (*dataset.Set, error) {
	show := &fetchReport{terminal: onTerminal()}
	defer show.end()
	o.Progress = show.count
	switch name {
	case "sample":
		return cifar10.Sample()
	case "auto":
		if _, err := os.Stat("data"); errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintln(os.Stderr, "no folder data here: using the embedded sample of 1,000 training and 200 test images "+
				"(ninvk data fetch brings all 60,000)")
			return cifar10.Sample()
		}
		name = "data"
	}
	return dataset.Open(name, formats, o)
}
