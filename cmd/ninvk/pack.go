package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"ninvk/dataset"
	"ninvk/dataset/packed"
)

type packCommand struct {
	Data        string  `arg:"" help:"Data to pack: whatever --data of train takes." placeholder:"DIR"`
	Out         string  `required:"" help:"File to write." placeholder:"SET.safetensors"`
	Size        int     `default:"256" help:"${pack_size}" placeholder:"N"`
	Fit         string  `default:"crop" enum:"crop,stretch,pad" help:"How photos become squares: crop, stretch or pad."`
	Channels    int     `default:"0" enum:"0,1,3" help:"1 (grey) or 3; 0: the data's own."`
	Labels      string  `default:"fine" enum:"fine,coarse" help:"${pack_labels}"`
	ValFraction float64 `default:"0.1" help:"${pack_valfraction}" placeholder:"F"`
	SkipBroken  bool    `help:"Leave out images that can't be decoded."`
}

// Run packs a data set.
func (c packCommand) Run(ctx context.Context) error {
	if c.Size < 1 {
		return &usageError{fmt.Sprintf("--size %d: a number of pixels from 1 is expected", c.Size)}
	}
	if !(c.ValFraction > 0 && c.ValFraction < 1) {
		return &usageError{fmt.Sprintf("--val-fraction %g: a share between 0 and 1 is expected", c.ValFraction)}
	}
	if err := checkOutput("out", c.Out); err != nil {
		return err
	}
	d, err := openData(ctx, c.Data, dataset.Options{Size: c.Size, Fit: dataset.Fit(c.Fit), Channels: c.Channels,
		Labels: c.Labels, Validation: c.ValFraction, SkipBroken: c.SkipBroken})
	if err != nil {
		return err
	}
	for _, broken := range d.Broken {
		fmt.Fprintf(os.Stderr, "left out: %s\n", broken)
	}
	show := &fetchReport{terminal: onTerminal()}
	err = packed.Write(ctx, c.Out, d, show.count)
	show.end()
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return &interrupted{"interrupted; nothing was written"}
		}
		return err
	}
	fmt.Fprintf(stdout, "%s has %d images to train on (%v) and %d to test with (%v) of %d classes; next: ninvk train "+
		"--data %s\n",
		shown(c.Out), d.Train.Len(), d.Train.Shape, d.Test.Len(), d.Test.Shape, len(d.Classes), shown(c.Out))
	return nil
}
