package main

import (
	"encoding/json"
	"fmt"
	"os"

	"ninvk/gpu"
)

type adaptersCommand struct {
	JSON bool `help:"${list}"`
}

// Run lists the adapters.
func (c adaptersCommand) Run() error {
	as, err := gpu.Adapters()
	if err != nil {
		return err
	}
	chosen, err := gpu.Select(as, os.Getenv(gpu.AdapterEnv))
	if err != nil {
		return err
	}
	for i := range as {
		as[i].Default = as[i].Index == chosen.Index
	}
	if c.JSON {
		return printJSON(as)
	}
	for _, a := range as {
		mark := " "
		if a.Default {
			mark = "*"
		}
		l := a.Limits
		fmt.Fprintf(stdout, "%s %d  %s\n", mark, a.Index, a.Name)
		fmt.Fprintf(stdout, "     %s, %s, driver %s\n", a.Type, a.Backend, a.Driver)
		fmt.Fprintf(stdout, "     workgroup: %d invocations, %d KiB of memory; largest buffer %d MiB, binding %d MiB, "+
			"texture side %d\n",
			l.MaxComputeInvocationsPerWorkgroup, l.MaxComputeWorkgroupStorageSize>>10, l.MaxBufferSize>>20,
			l.MaxStorageBufferBindingSize>>20, l.MaxTextureDimension2D)
		if a.VectorWidth > 0 {
			fmt.Fprintf(stdout, "     vectors of %d bits; compiled kernels %s\n", a.VectorWidth, kept(a.ShaderCache))
		}
		fmt.Fprintln(stdout)
	}
	if os.Getenv(gpu.AdapterEnv) != "" {
		fmt.Fprintf(stdout, "* the default, chosen by %s=%s\n", gpu.AdapterEnv, os.Getenv(gpu.AdapterEnv))
	} else {
		fmt.Fprintf(stdout, "* the default: the first %s adapter (discrete before integrated before virtual before cpu); "+
			"--adapter or %s choose another\n", chosen.Type, gpu.AdapterEnv)
	}
	if v := os.Getenv(gpu.LimitsEnv); v != "" {
		fmt.Fprintf(stdout, "limits lowered by %s=%s\n", gpu.LimitsEnv, v)
	}
	return nil
}

// kept says where compiled kernels are.
func kept(folder string) string {
	if folder == "" {
		return "are not kept"
	}
	return "are kept in " + folder
}

func printJSON(v any) error {
	e := json.NewEncoder(stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
