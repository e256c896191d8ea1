package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteTable prints what was measured as tables that a person reads; with commands, also the kernels that each operator
// is made of.
func (r Result) WriteTable(w io.Writer, commands bool) error {
	p := &printer{w: w}
	p.limits(r)
	for _, s := range r.Steps {
		p.operators(r.Operators, s, commands)
		p.step(s)
	}
	p.networks(r.Networks)
	p.startUps(r.StartUps)
	for _, n := range r.Notes {
		p.line("%s\n", n)
	}
	return p.err
}

// printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, a ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, a...)
	}
}

// table prints rows with aligned columns.
func (p *printer) table(rows func(t io.Writer)) {
	t := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	rows(t)
	if err := t.Flush(); p.err == nil {
		p.err = err
	}
	p.line("\n")
}

func spread(s float64) string { return fmt.Sprintf("± %.0f %%", 100*s) }

func (p *printer) limits(r Result) {
	l := r.Limits
	p.line("%s (%s, %s, %s)\n\n", r.Adapter.Name, r.Adapter.Type, r.Adapter.Backend, r.Adapter.Driver)
	p.table(func(t io.Writer) {
		fmt.Fprintf(t, "limits of the adapter\n")
		fmt.Fprintf(t, "multiply-add\t%.1f GFLOP/s\t%s\n", l.GFlops, spread(l.Spread["gflops"]))
		fmt.Fprintf(t, "memory, copy by a kernel\t%.2f GB/s\t%s\n", l.CopyKernel,
			spread(l.Spread["copy_kernel_gbytes_per_second"]))
		fmt.Fprintf(t, "memory, triad\t%.2f GB/s\t%s\n", l.Triad, spread(l.Spread["triad_gbytes_per_second"]))
		fmt.Fprintf(t, "memory, copy by command\t%.2f GB/s\t%s\n", l.CopyCommand,
			spread(l.Spread["copy_command_gbytes_per_second"]))
		fmt.Fprintf(t, "dispatch\t%.1f µs\t%s\n", 1e6*l.DispatchSeconds, spread(l.Spread["dispatch_seconds"]))
		fmt.Fprintf(t, "submit and wait\t%.1f µs\t%s\n", 1e6*l.SubmitSeconds, spread(l.Spread["submit_seconds"]))
		fmt.Fprintf(t, "host to adapter\t%.2f GB/s\t%s\n", l.HostToAdapter,
			spread(l.Spread["host_to_adapter_gbytes_per_second"]))
		fmt.Fprintf(t, "adapter to host\t%.2f GB/s\t%s\n", l.AdapterToHost,
			spread(l.Spread["adapter_to_host_gbytes_per_second"]))
	})
}

func (p *printer) operators(rows []Operator, s Step, commands bool) {
	p.table(func(t io.Writer) {
		fmt.Fprintf(t, "%s, operators of the %s step, batch %d\n", named(s.Model, s.Size), s.Step, s.Batch)
		fmt.Fprintln(t, "layer\toperator\tpass\tshape\tms\t\tGFLOP/s\tGB/s\tof limit\tshare\truns\tkernel")
		for _, o := range rows {
			if o.Step != s.Step {
				continue
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.3f\t%s\t%.1f\t%.2f\t%.0f %% %s\t%.1f %%\t%d\t%s\n", o.Layer, o.Operator, o.Pass,
				o.Shape, o.Milliseconds, spread(o.Spread),
				o.GFlops, o.GBytesPerSecond, o.PercentOfLimit, o.Bound, 100*o.ShareOfStep, o.Dispatches, o.Variant)
			if commands && len(o.Commands) > 1 {
				for _, c := range o.Commands {
					fmt.Fprintf(t, "\t\t\t\t%.3f\t\t\t\t\t\t%d\t  %s\n", c.Milliseconds, c.Count, c.Kernel)
				}
			}
		}
	})
}

func (p *printer) step(s Step) {
	part := func(ms float64) string { return fmt.Sprintf("%.2f ms\t%.1f %%", ms, 100*ms/s.Milliseconds) }
	p.table(func(t io.Writer) {
		fmt.Fprintf(t, "where the %s step goes\n", s.Step)
		fmt.Fprintf(t, "whole step\t%.2f ms\t%s\n", s.Milliseconds, spread(s.Spread))
		fmt.Fprintf(t, "sum of the operators\t%s\n", part(s.Operators))
		fmt.Fprintf(t, "  of it launches\t%s\t%d dispatches\n", part(s.Launch), s.Dispatches)
		fmt.Fprintf(t, "host\t%s\tencoding the commands\n", part(s.Host))
		fmt.Fprintf(t, "submit and wait\t%s\t%d submits\n", part(s.Submit), s.Submits)
		fmt.Fprintf(t, "gaps\t%s\t%s\n", part(s.Gaps),
			map[bool]string{true: "operators run faster in the step than one by one"}[s.Gaps < 0])
	})
}

func (p *printer) networks(rows []Network) {
	if len(rows) == 0 {
		return
	}
	p.table(func(t io.Writer) {
		fmt.Fprintf(t, "whole networks, images per second\n")
		fmt.Fprintln(t, "model\tbatch\ttraining\t\tinference\t\tplanned\tpeak RSS")
		for _, n := range rows {
			fmt.Fprintf(t, "%s\t%d\t%.1f\t%s\t%.1f\t%s\t%.0f MB\t%s\n", named(n.Model, n.Size), n.Batch, n.Train,
				spread(n.TrainSpread), n.Infer, spread(n.InferSpread),
				float64(n.PlannedBytes)/1e6, megabytes(n.PeakRSS))
		}
	})
}

func megabytes(b uint64) string {
	if b == 0 {
		return "not known"
	}
	return fmt.Sprintf("%.0f MB", float64(b)/1e6)
}

func (p *printer) startUps(rows []StartUp) {
	if len(rows) == 0 {
		return
	}
	p.table(func(t io.Writer) {
		fmt.Fprintf(t, "start-up, seconds until the first training step is done\n")
		fmt.Fprintln(t, "caches\tall\tdevice\tdata\tcompile\ttune\tthe step itself")
		for _, s := range rows {
			fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\n", s.Caches, s.Seconds, s.Device, s.Data, s.Compile, s.Tune,
				s.Step)
		}
	})
}
