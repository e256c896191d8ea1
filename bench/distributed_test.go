package bench

import (
	"bytes"
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ninvk/cifar10"
	"ninvk/dist"
	"ninvk/gpu"
	"ninvk/tune"
)

const ms = time.Millisecond

// Two ranks, of which the one is slower in the one step and the other in the other.
func TestDivide(t *testing.T) {
	times := [][]stepTimes{
		{
			{50 * ms, 30 * ms, 42 * ms, []time.Duration{10 * ms, 30 * ms}},
			{52 * ms, 38 * ms, 44 * ms, []time.Duration{12 * ms, 38 * ms}},
		},
		{
			{51 * ms, 40 * ms, 41 * ms, []time.Duration{20 * ms, 40 * ms}},
			{50 * ms, 30 * ms, 43 * ms, []time.Duration{14 * ms, 30 * ms}},
		},
	}
	e := Exchanged{Batch: 8}
	slowest := e.divide(times)
	want := Exchanged{Batch: 8, Step: 51.5, Computing: 34.5, Waiting: 4.5, Exchange: 4, Images: 8 / 51.5e-3}
	near := cmpopts.EquateApprox(1e-9, 0)
	if diff := cmp.Diff(want, e, near); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// 40 and 38 until the own sums, of steps that go on for 9 and 8 when all are there.
	wantSlowest := stepTimes{Own: 39 * ms, Whole: 47500 * time.Microsecond, Left: []time.Duration{16 * ms, 39 * ms}}
	if diff := cmp.Diff(wantSlowest, slowest, cmpopts.EquateApprox(0, 1e3)); diff != "" {
		t.Errorf("slowest (-want +got):\n%s", diff)
	}
}

func TestForecast(t *testing.T) {
	one := stepTimes{Own: 40 * ms, Whole: 50 * ms, Left: []time.Duration{10 * ms, 40 * ms}}
	messages := one.leaving([]dist.Message{{Bytes: 8_000_000}, {Bytes: 1_000_000}})
	for _, c := range []struct {
		link  dist.Link
		ranks int
		shown float64 // ms
	}{
		{dist.Link{Latency: 0, Bandwidth: math.Inf(1)}, 2, 0},
		{dist.Link{Latency: ms, Bandwidth: math.Inf(1)}, 8, 6},    // there and back through three levels
		{dist.Link{Latency: 0, Bandwidth: 1e9}, 2, 1},             // the first is gone long before
		{dist.Link{Latency: ms, Bandwidth: 1e9}, 4, 4 + 1.5},      // 2·3/4 times the bytes
		{dist.Link{Latency: 0, Bandwidth: 1e8}, 2, 10 + 80 - 30.}, // the first is still on its way when the second comes
	} {
		f := forecast(c.link, one, messages, c.ranks, 16)
		want := Forecast{Ranks: c.ranks, Step: 50 + c.shown, Exchange: c.shown,
			Images: float64(16*c.ranks) / (50 + c.shown) * 1e3, Efficiency: 50 / (50 + c.shown)}
		if diff := cmp.Diff(want, f, cmpopts.EquateApprox(1e-6, 1e-9)); diff != "" {
			t.Errorf("%+v, %d ranks (-want +got):\n%s", c.link, c.ranks, diff)
		}
	}
}

// One process measures its half of a step, and forecasts by the link that it is given.
func TestDistributedAlone(t *testing.T) {
	data, err := cifar10.Sample()
	if err != nil {
		t.Fatal(err)
	}
	d, err := gpu.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	b := New(d, data, Options{Model: "lenet5", Batch: 4, Progress: func(string, int, int) {},
		Tune: tune.Options{KeptOnly: true, Warn: func(m string) { t.Log(m) }}})
	e, err := b.Distributed(context.Background(), dist.Alone, &dist.Link{Latency: ms, Bandwidth: 1e6})
	if err != nil {
		t.Fatal(err)
	}
	if e.Shards != 2 || e.Ranks != 1 || e.Batch != 4 || e.Measured || !(e.Step > e.Computing) || !(e.Computing > 0) ||
		e.Sums < 4*61706 || e.Messages != 1 || e.Sent != float64(e.Sums) {
		t.Errorf("%+v", e)
	}
	if n := len(e.Forecasts); n != 6 || e.Forecasts[0].Ranks != 2 || e.Forecasts[n-1].Ranks != 64 ||
		!(e.Forecasts[0].Exchange > float64(e.Sums)/1e3) {
		t.Errorf("forecasts %+v", e.Forecasts)
	}
	var text bytes.Buffer
	if err := e.WriteTable(&text); err != nil || !strings.Contains(text.String(), "of which the other is pretended") ||
		!strings.Contains(text.String(), "(as given): 1.000 ms for a message, 1.0 MB/s") {
		t.Errorf("error %v\n%s", err, text.String())
	}
}
