package main

import (
	"context"
	"fmt"
	"os"

	"ninvk/cifar10"
	"ninvk/gpu"
	"ninvk/nn"
	"ninvk/ops"
	"ninvk/train"
)

type evalCommand struct {
	Weights string `required:"" help:"Weights: ours, or PyTorch's state_dict as safetensors or .pth." placeholder:"FILE"`
	Data    string `default:"auto" help:"Folder with CIFAR-10 binary files, 'sample' or 'auto'." placeholder:"DIR|sample|auto"`
	Model   string `help:"The weights' network, where the file does not tell." placeholder:"NAME"`
	Split   string `default:"test" enum:"test,train" help:"test or train."`
	Batch   int    `default:"64" help:"Images a step."`
	Resize  *int   `help:"Pixels a side to enlarge images to; 0 for their own size (default: 224 for nin-imagenet, else 0)."`
	Adapter string `help:"Index, part of the name or driver, or type."`
	NoTune  bool   `help:"Take the usual kernels rather than the measured choice, and measure none."`
	JSON    bool   `help:"Print an object that machines read."`
}

// Run evaluates.
func (c evalCommand) Run(ctx context.Context) error {
	if c.Batch < 1 {
		return &train.UsageError{Flag: "--batch", Value: fmt.Sprint(c.Batch), Problem: "must be at least 1"}
	}
	n, err := openNetwork(c.Weights, c.Model, c.Resize)
	if err != nil {
		return err
	}
	data, err := openData(c.Data)
	if err != nil {
		return err
	}
	split := data.Test
	if c.Split == "train" {
		split = data.Train
	}
	dev, err := gpu.Open(c.Adapter)
	if err != nil {
		return err
	}
	defer dev.Close()
	batch := min(c.Batch, split.Len())
	tuned, err := chooseKernels(ctx, dev, n.graph, batch, false, c.NoTune)
	if err != nil {
		return err
	}
	net, err := nn.Build(dev, n.graph, n.logits, nn.Options{Batch: batch, Augment: ops.Augment{Size: n.size, Mean: cifar10.Mean, Std: cifar10.Std}, Tuned: tuned})
	if err != nil {
		return err
	}
	defer net.Release()
	if err := n.weights.Load(net); err != nil {
		return err
	}
	images, err := train.Upload(dev, c.Split+" images", split)
	if err != nil {
		return err
	}
	defer images.Release()
	report := newTrainReport()
	if report.terminal {
		report.bar = report.newBar(split.Len(), "evaluating")
	}
	e, err := train.Evaluate(ctx, net, images, split, func(done, total int) {
		if report.bar != nil {
			_ = report.bar.Set(done)
			return
		}
		report.Evaluating(c.Split, done, total)
	})
	report.end()
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return &interrupted{"interrupted; no figures, as only part of the split was seen"}
	}
	if c.JSON {
		return printJSON(map[string]any{"model": n.model, "split": c.Split, "images": e.Images, "loss": e.Loss, "accuracy": e.Accuracy})
	}
	fmt.Fprintf(os.Stdout, "%s, %s split, %d images: loss %.4f, accuracy %s\n", n.model, c.Split, e.Images, e.Loss, percent(e.Accuracy))
	return nil
}
