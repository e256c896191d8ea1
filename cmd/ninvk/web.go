package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"ninvk/page"
	"ninvk/train"
	"ninvk/web"
)

type webCommand struct {
	Listen string `help:"${web_listen}" default:":8081" placeholder:"[HOST]:PORT"`
	Out    string `help:"Write the page's files into this folder instead, for a host of static files." placeholder:"DIR"`
}

// Run serves the page until it is interrupted, or writes it.
func (c webCommand) Run(ctx context.Context) error {
	if c.Out != "" {
		files, err := web.Files()
		if err != nil {
			return err
		}
		if err := web.Write(c.Out, files); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s has the page; browsers open it from an https address, or from this machine\n", shown(c.Out))
		return nil
	}
	l, err := page.Listen(c.Listen)
	if err != nil {
		return &train.UsageError{Flag: "--listen", Value: strconv.Quote(c.Listen), Problem: err.Error()}
	}
	defer l.Close()
	files, err := web.Files()
	if err != nil {
		return err
	}
	if !l.Local() {
		fmt.Fprintf(os.Stderr, "warning: --listen %s serves the page to everyone who can reach this machine; browsers "+
			"elsewhere have WebGPU only behind an https address, which needs a proxy that has one\n", c.Listen)
	}
	fmt.Fprintf(os.Stderr, "the page is at %s (Ctrl-C ends it)\n", l.URL())
	s := page.Server(web.Handler(l, files))
	stopped := make(chan error, 1)
	go func() { stopped <- s.Serve(l) }()
	select {
	case err := <-stopped:
		return fmt.Errorf("the page is no longer served: %w", err)
	case <-ctx.Done():
	}
	if err := s.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("closing the page: %w", err)
	}
	return nil
}
