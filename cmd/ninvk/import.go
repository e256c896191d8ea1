package main

import (
	"fmt"

	"ninvk/nin"
	"ninvk/safetensors"
)

type importCommand struct {
	Weights string `required:"" help:"A state_dict of float32 tensors, saved by PyTorch's torch.save." placeholder:"FILE.pth"`
	Out     string `required:"" help:"The file to write." placeholder:"FILE.safetensors"`
	Model   string `help:"The weights' network, where names and shapes do not tell." placeholder:"NAME"`
}

// Run imports: no code of the file is run, and nothing is written that does not fit the network.
func (c importCommand) Run() error {
	if err := keeps("--out", c.Out, c.Weights, "the checkpoint itself"); err != nil {
		return err
	}
	checkpoint, err := nin.ReadCheckpoint(c.Weights)
	if err != nil {
		return err
	}
	n, err := newNetwork(c.Weights, checkpoint, c.Model, nil)
	if err != nil {
		return err
	}
	f, err := tensors(n)
	if err != nil {
		return err
	}
	if err := safetensors.Write(c.Out, f); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: the weights of %s, %d tensors\n", c.Out, n.Model, len(f.Tensors))
	return nil
}
