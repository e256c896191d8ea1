package gpu

import (
	"errors"
	"maps"
	"runtime"
	"testing"
)

func TestParseLimits(t *testing.T) {
	for _, c := range []struct {
		value string
		want  map[string]uint64
		fails []string // parts of the error
	}{
		{value: "", want: map[string]uint64{}},
		{value: " maxBufferSize=16 ,maxTextureDimension2D = 8192,",
			want: map[string]uint64{"maxBufferSize": 16, "maxTextureDimension2D": 8192}},
		{value: "maxbuffersize=16", fails: []string{LimitsEnv, "maxbuffersize=16",
			"maxBufferSize, maxComputeInvocationsPerWorkgroup"}},
		{value: "16", fails: []string{LimitsEnv, "NAME=NUMBER"}},
		{value: "maxBufferSize=16,maxTextureDimension2D=lots",
			fails: []string{LimitsEnv, "maxTextureDimension2D=lots", "whole number"}},
		{value: "maxBufferSize", fails: []string{"maxBufferSize", "whole number"}},
		{value: "maxBufferSize=0", fails: []string{"maxBufferSize=0", "from 1 on"}},
		{value: "maxBufferSize=-1", fails: []string{"maxBufferSize=-1"}},
		{value: "maxBufferSize=99999999999999999999", fails: []string{"maxBufferSize=99999999999999999999"}},
	} {
		t.Setenv(LimitsEnv, c.value)
		got, err := lowered()
		if c.fails != nil {
			var limits *LimitsError
			if fails(t, err, c.fails...); !errors.As(err, &limits) {
				t.Errorf("%q: error %v is no LimitsError", c.value, err)
			}
			for name, open := range map[string]func() error{
				"Open":     func() error { _, err := Open(""); return err },
				"Choose":   func() error { _, err := Choose(""); return err },
				"Adapters": func() error { _, err := Adapters(); return err },
			} {
				if err := open(); !errors.As(err, &limits) {
					t.Errorf("%s: error %v, want a LimitsError", name, err)
				}
			}
		} else if err != nil || !maps.Equal(got, c.want) {
			t.Errorf("%q: %v, error %v; want %v", c.value, got, err, c.want)
		}
	}
}

// TestLowered: the device is asked for the lowered limits, so that it refuses what is beyond them; none is raised.
func TestLowered(t *testing.T) {
	t.Setenv(LimitsEnv, "")
	own, err := Choose("")
	check(t, err)
	for name, limit := range lowerable { // each by itself
		a := own
		limit(&a.Limits, &a.limits, 1)
		if a.Limits == own.Limits || a.limits == own.limits && name != unrolledLimit {
			t.Errorf("%s is not lowered", name)
		}
		limit(&a.Limits, &a.limits, 1<<40)
		b := own
		limit(&b.Limits, &b.limits, 1)
		if a.Limits != b.Limits || a.limits != b.limits {
			t.Errorf("%s is raised", name)
		}
	}
	t.Setenv(LimitsEnv, "maxComputeInvocationsPerWorkgroup=32,maxBufferSize=4096,maxStorageBufferBindingSize=1024,"+
		"maxTextureDimension2D=99999999")
	d, err := Open("")
	check(t, err)
	defer d.Close()
	want := own.Limits
	want.MaxComputeInvocationsPerWorkgroup, want.MaxBufferSize, want.MaxStorageBufferBindingSize = 32, 4096, 1024
	if d.Limits() != want {
		t.Errorf("limits are %+v, want %+v", d.Limits(), want)
	}
	as, err := Adapters()
	check(t, err)
	if as[d.Adapter.Index].Limits != want {
		t.Errorf("listed with %+v, want %+v", as[d.Adapter.Index].Limits, want)
	}
	if _, err := d.NewBuffer("large", 8192); !errors.Is(err, ErrTooLarge) {
		t.Errorf("error %v, want ErrTooLarge", err)
	}
	// 64 invocations; a browser never allows less than the 256 that WebGPU guarantees
	if _, err := d.Pipeline(double); err == nil && runtime.GOOS != "js" {
		t.Error("a kernel beyond the limit was compiled: the driver knows nothing of it")
	}
}
