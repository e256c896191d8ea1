package main

import (
	"context"
	"encoding/json"
	"fmt"

	"ninvk/models"
	"ninvk/onnx"
	"ninvk/safetensors"
)

type exportCommand struct {
	Weights string `required:"" help:"Weights: ours, or PyTorch's state_dict as safetensors or .pth." placeholder:"FILE"`
	Format  string `required:"" enum:"onnx,safetensors" help:"${export_format}" placeholder:"onnx|safetensors"`
	Out     string `required:"" help:"The file to write." placeholder:"FILE"`
	FoldBN  bool   `name:"fold-bn" help:"ONNX: make batch normalisation part of the convolutions before it."`
	described
	Resize *int `help:"${export_resize}"`
}

// Run exports.
func (c exportCommand) Run(ctx context.Context) error {
	if c.FoldBN && c.Format != "onnx" {
		return &usageError{"--fold-bn: goes with --format onnx only, as folded weights no longer fit the network's names"}
	}
	if c.Resize != nil && c.Format != "onnx" {
		return &usageError{"--resize: goes with --format onnx only, as weights are the same for every size"}
	}
	if err := keeps("--out", c.Out, c.Weights, "the weights file itself"); err != nil {
		return err
	}
	if err := checkOutput("--out", c.Out); err != nil {
		return err
	}
	n, err := untilStopped(ctx, func() (*models.Network, error) { return c.described.open(c.Weights, c.Resize) })
	if err != nil {
		return err
	}
	tellNotes(n)
	if c.Format == "safetensors" {
		f := n.Content()
		if err := safetensors.Write(c.Out, f); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s: the weights of %s as safetensors, %d tensors\n", c.Out, n.Model, len(f.Tensors))
		return nil
	}
	metadata := map[string]string{"model": n.Model, "version": version(), "fit": string(n.Fit)}
	for key, value := range map[string]any{"mean": n.Mean, "std": n.Std, "size": []int{n.Size, n.Size},
		"class_names": n.Classes,
		"channels":    n.Channels} {
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		metadata[key] = string(text)
	}
	err = onnx.Write(c.Out, n.Graph, n.Logits, n.Weights.Values(), onnx.Options{
		Name: n.Model, Version: version(), Metadata: metadata, FoldBatchNorm: c.FoldBN,
		Doc: "The input is " + colours(n.Channels) + ", channels first, values from 0 to 1 normalised as (value - mean) / " +
			"std; mean, std, size, channels and class_names are in the model's metadata, as JSON, and fit, how an image " +
			"becomes a square: crop, stretch, pad or imagenet.",
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %s as ONNX, opset %d, %s [N, %d, %d, %d] to %s [N, %d]\n", c.Out, n.Model, onnx.Opset,
		onnx.InputName, n.Channels, n.Size, n.Size, onnx.OutputName, len(n.Classes))
	return nil
}

// colours names the channels of images.
func colours(channels int) string {
	if channels == 1 {
		return "grey"
	}
	return "RGB"
}
