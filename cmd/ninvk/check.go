package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"ninvk/check"
	"ninvk/golden"
	"ninvk/gpu"
	"ninvk/models"
	"ninvk/safetensors"
)

type checkCommand struct {
	Adapter    string `help:"${adapter}"`
	Model      string `help:"Check this network in place of the operators: one of ${models}." placeholder:"NAME"`
	JSON       bool   `help:"${object}"`
	ClearCache bool   `help:"First delete the kernels that llvmpipe compiled for ninvk."`

	Child    bool   `hidden:"" help:"${check_child}"`
	Section  string `hidden:"" help:"Section of the check that this process does."`
	Only     string `hidden:"" help:"Check the entries whose name contains it."`
	Expected string `hidden:"" help:"File of other results to expect."`
}

// Run checks the adapter in two processes, one after the other: drivers read whether they cache kernels when they are
// loaded.
func (c checkCommand) Run(ctx context.Context) error {
	if c.Child {
		return c.child(ctx)
	}
	if c.Model != "" {
		if err := models.Check(c.Model); err != nil {
			return err
		}
	}
	if c.ClearCache {
		folder, size, err := gpu.ClearShaderCache()
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "deleted what was in %s (%.1f MB of compiled kernels)\n", folder, float64(size)/1e6)
	}
	adapter, err := gpu.Choose(c.Adapter) // before the checking processes ask for it
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	r := check.Report{Version: version(), Adapter: adapter}
	sections := check.Sections(adapter)
	if c.Model != "" {
		sections = []check.Section{{}} // with the variants that are chosen on it
	}
	for _, s := range sections {
		if s.Note != "" {
			r.Notes = append(r.Notes, s.Note)
		}
	}
	uncached, err := c.turn(ctx, exe, sections, false)
	if err != nil {
		return err
	}
	cached, err := c.turn(ctx, exe, sections, true)
	if err != nil {
		return err
	}
	r.Judge(uncached, cached)
	if c.JSON {
		err = printJSON(r)
	} else {
		err = r.WriteTable(stdout)
	}
	if err == nil && !r.Right {
		err = &check.WrongError{Verdict: r.Verdict}
	}
	return err
}

// turn checks all sections, each in a process of its own, with the driver's shader cache on or off.
func (c checkCommand) turn(ctx context.Context, exe string, sections []check.Section, cache bool) (check.Turn, error) {
	var all check.Turn
	report := &benchReport{terminal: onTerminal()}
	defer report.end()
	stage := "checking with the driver's shader cache " + map[bool]string{false: "off", true: "on"}[cache]
	for i, section := range sections {
		progress := func(_ string, done, total int) { report.progress(stage, i*total+done, len(sections)*total) }
		args := []string{"check", "--child", "--adapter", c.Adapter, "--section", section.Name, "--only", c.Only,
			"--expected", c.Expected, "--model", c.Model}
		one, err := check.Isolate(ctx, cache, section.Env, progress, exe, args...)
		if ctx.Err() != nil {
			return all, &interrupted{"interrupted; no verdict, as only part was checked"}
		}
		if err != nil {
			return all, err
		}
		if i > 0 {
			one = all.Join(one)
		}
		all = one
	}
	return all, nil
}

func (c checkCommand) child(ctx context.Context) error {
	o := check.Options{Section: c.Section, Only: c.Only}
	if c.Expected != "" {
		f, err := safetensors.Read(c.Expected)
		if err != nil {
			return err
		}
		o.Expected = f
	}
	var err error
	if o.Networks, err = c.networks(); err != nil {
		return err
	}
	dev, err := gpu.Open(c.Adapter)
	if err != nil {
		return err
	}
	defer dev.Close()
	out := json.NewEncoder(stdout)
	return check.Child(ctx, dev, o, func(m check.Message) error { return out.Encode(m) })
}

// networks are those of the model to be checked, as it is built with auxiliary heads and without.
func (c checkCommand) networks() ([]check.Network, error) {
	var list []check.Network
	for _, name := range golden.Of(c.Model) {
		n, err := golden.Read(name)
		if err != nil {
			return nil, err
		}
		g, logits, err := models.Build(models.Config{Model: n.Model, Classes: 10, Size: n.Size, Aux: n.Aux})
		if err != nil {
			return nil, err
		}
		list = append(list, check.Network{Golden: n, Graph: g, Logits: logits})
	}
	return list, nil
}
