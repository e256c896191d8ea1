package train

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/models"
	"ninvk/nn"
	"ninvk/safetensors"
)

func sha(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// folder is the content of every file below dir.
func folder(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		out[strings.TrimPrefix(path, dir)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// about is what the checkpoints of these tests tell of their network.
var about = models.Metadata{Model: "nin-bn", Size: 4, Classes: []string{"a", "b"}, Mean: []float64{0, 0, 0},
	Std: []float64{1, 1, 1}}

// tiny is the parameters of a convolution and a batch normalisation, without a network, and a state that depends on the
// step.
func tiny(t testing.TB, step int) ([]nn.Param, *nn.State) {
	t.Helper()
	g := nn.NewGraph()
	g.BatchNorm("norm", g.Conv("conv", g.Input(3, 4, 4), nn.Conv{Channels: 2, Kernel: 1}), nn.BatchNorm{})
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	var params []nn.Param
	s := &nn.State{Tracked: int64(step)}
	for i, p := range g.Params() {
		params = append(params, nn.Param{ParamSpec: p})
		values, momenta := make([]float32, p.Len()), make([]float32, p.Len())
		for j := range values {
			values[j], momenta[j] = float32(step)+float32(i)/8, float32(j)-float32(step)
		}
		switch {
		case p.Role == nn.BatchesTracked:
			values, momenta = nil, nil
		case !p.Trained():
			momenta = nil
		}
		s.Values, s.Momenta = append(s.Values, values), append(s.Momenta, momenta)
	}
	return params, s
}

func tinyPosition(step int) Position {
	c := defaults()
	if err := merge([]byte("epochs = 3\nbatch = 8\nlr = 0.1\nschedule = 'cosine'\naugment = 'none'\nseed = 7"),
		&c); err != nil {
		panic(err)
	}
	c.Resolve()
	return Position{Version: "test", Adapter: "a", Driver: "d", DataSet: "sample", DataSHA256: "ab", Config: c, Step: step,
		EpochSeconds: 1.5, Best: number(math.NaN())}
}

func tinyCheckpoint(t testing.TB, p Position) []byte {
	t.Helper()
	params, state := tiny(t, p.Step)
	b, err := encodeCheckpoint(p, about, params, state)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCheckpointHoldsEverything(t *testing.T) {
	p := tinyPosition(5)
	p.Best, p.BestEpoch, p.Epochs, p.Stuck, p.Rollbacks, p.MetricsBytes = 0.625, 1, 2, 3, 1, 12345
	params, state := tiny(t, 5)
	c, err := decodeCheckpoint(tinyCheckpoint(t, p))
	if err != nil {
		t.Fatal(err)
	}
	p.Format, p.Tracked = checkpointFormat, 5
	if diff := cmp.Diff(p, c.Position); diff != "" {
		t.Errorf("position (-written +read):\n%s", diff)
	}
	got, err := c.state(params)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(state, got); diff != "" {
		t.Errorf("state (-written +read):\n%s", diff)
	}
	if _, err := c.state(params[1:]); err == nil {
		t.Error("the tensors of a larger network were accepted")
	}
}

// Every flipped bit and every missing end must be noticed.
func TestDamagedCheckpoint(t *testing.T) {
	b := tinyCheckpoint(t, tinyPosition(5))
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		if _, err := decodeCheckpoint(b); err == nil {
			t.Errorf("bit %d of byte %d was flipped unnoticed", i%8, i/8)
		}
		b[i/8] ^= 1 << (i % 8)
	}
	for n := range b {
		if _, err := decodeCheckpoint(b[:n]); err == nil {
			t.Errorf("cut after %d bytes unnoticed", n)
		}
	}
	if _, err := decodeCheckpoint(b); err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	write := func(path string, b []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dir, ConfigFile), nil)
	write(filepath.Join(dir, CheckpointDir, "step-000000000004.safetensors"), tinyCheckpoint(t, tinyPosition(4)))
	bad := filepath.Join(dir, CheckpointDir, "step-000000000005.safetensors")
	b[len(b)-1] ^= 1
	write(bad, b)
	_, err := OpenSaved(dir)
	var damaged *CheckpointError
	if !errors.As(err, &damaged) || damaged.Path != bad || !strings.Contains(err.Error(), "step 4, is whole") {
		t.Errorf("error %v, expected a *CheckpointError that names the file and the one before it", err)
	}
}

func TestCheckpointRefusesWhatIsNotFinite(t *testing.T) {
	params, state := tiny(t, 1)
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		state.Momenta[1][1] = float32(v)
		if got := notFinite(params, state); !strings.Contains(got, "element 1 of momentum.conv.bias") {
			t.Errorf("%v: %q", v, got)
		}
	}
}

func FuzzDecodeCheckpoint(f *testing.F) {
	whole := tinyCheckpoint(f, tinyPosition(5))
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(bytes.Replace(whole, []byte(`\"step\":5`), []byte(`\"step\":-`), 1))
	f.Add(bytes.Replace(whole, []byte(`\"epochs\":0`), []byte(`\"epochs\":9`), 1))
	f.Add(bytes.Replace(whole, []byte("conv.bias"), []byte("conv.biaz"), 1))
	f.Add([]byte(`........{"__metadata__":{"ninvk.sha256":"`))
	params, _ := tiny(f, 5)
	f.Fuzz(func(t *testing.T, b []byte) {
		b = slices.Clone(b)
		_, _ = decodeCheckpoint(b)
		// With the right checksum the reader sees everything else too.
		place := checksumPlace(b)
		if place == nil {
			return
		}
		copy(place, strings.Repeat("0", len(place)))
		sum := sha256.Sum256(b)
		hex.Encode(place, sum[:])
		c, err := decodeCheckpoint(b)
		if err != nil {
			return
		}
		state, err := c.state(params)
		if err != nil {
			return
		}
		again, err := encodeCheckpoint(c.Position, about, params, state)
		if err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
		d, err := decodeCheckpoint(again)
		if err != nil {
			t.Fatalf("what was written can't be read: %v", err)
		}
		same, err := d.state(params)
		if err != nil {
			t.Fatal(err)
		}
		if third, err := encodeCheckpoint(d.Position, about, params, same); err != nil || !bytes.Equal(again, third) {
			t.Fatalf("written, read and written again it changed (%v)", err)
		}
	})
}

// fault is a way for the disk to fail.
type fault struct {
	forever bool // not one operation, but all from then on
	half    bool // a failing write has written half
	silent  bool // and does not say so
}

// faulty is a disk that fails at the at-th operation, counted from 1; never where at is 0.
type faulty struct {
	osDisk
	fault
	at int

	mu   sync.Mutex
	done int // operations so far
}

var errFault = fmt.Errorf("injected: %w", syscall.ENOSPC)

// fails counts an operation and says whether it fails.
func (d *faulty) fails() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done++
	return d.done == d.at || d.forever && d.at > 0 && d.done > d.at
}

func (d *faulty) Create(path string) (diskFile, error) {
	if d.fails() {
		return nil, errFault
	}
	f, err := d.osDisk.Create(path)
	return faultyFile{f, d}, err
}

func (d *faulty) Append(path string, size int64) (diskFile, error) {
	if d.fails() {
		return nil, errFault
	}
	f, err := d.osDisk.Append(path, size)
	return faultyFile{f, d}, err
}

func (d *faulty) Rename(from, to string) error {
	if d.fails() {
		return errFault
	}
	return d.osDisk.Rename(from, to)
}

func (d *faulty) Remove(path string) error {
	if d.fails() {
		return errFault
	}
	return d.osDisk.Remove(path)
}

func (d *faulty) SyncDir(dir string) error {
	if d.fails() {
		return errFault
	}
	return d.osDisk.SyncDir(dir)
}

type faultyFile struct {
	diskFile
	d *faulty
}

func (f faultyFile) Write(b []byte) (int, error) {
	if !f.d.fails() {
		return f.diskFile.Write(b)
	}
	if !f.d.half {
		return 0, errFault
	}
	n, err := f.diskFile.Write(b[:len(b)/2])
	if err == nil && !f.d.silent {
		err = errFault
	}
	return n, err
}

func (f faultyFile) Truncate(size int64) error {
	if f.d.fails() {
		return errFault
	}
	return f.diskFile.Truncate(size)
}

func (f faultyFile) Sync() error {
	if f.d.fails() {
		return errFault
	}
	return f.diskFile.Sync()
}

func (f faultyFile) Close() error {
	err := f.diskFile.Close()
	if f.d.fails() {
		return errFault
	}
	return err
}

// TestEveryFailingWrite does what a run does with its folder, without an adapter, and lets the first operation on the
// disk fail, then the second, and so on. Whatever fails, the error says so, the checkpoint written last is there, and
// all files are whole.
func TestEveryFailingWrite(t *testing.T) {
	faults := 0
	for _, kind := range []fault{{}, {half: true}, {half: true, silent: true}, {forever: true},
		{forever: true, half: true}} {
		for at := 1; ; at++ {
			d := &faulty{fault: kind, at: at}
			dir := filepath.Join(t.TempDir(), "run")
			durable, err := pretend(t, d, dir)
			if d.done < at {
				if err != nil {
					t.Fatalf("an error without a fault: %v", err)
				}
				break
			}
			faults++
			if err == nil {
				t.Errorf("operation %d failed unnoticed (%+v)", at, kind)
			} else if !strings.Contains(err.Error(), dir) {
				t.Errorf("operation %d: %q does not name the file", at, err)
			}
			checkFolder(t, dir, durable, !kind.forever)
			if t.Failed() {
				t.Fatalf("after operation %d failed (%+v): %v", at, kind, err)
			}
		}
	}
	t.Logf("%d faults injected", faults)
	if faults < 150 {
		t.Errorf("only %d faults were injected", faults)
	}
}

// pretend writes a run of four steps with a checkpoint every other one, up to the first error. It returns the last step
// whose checkpoint was reported written, -1 if none was.
func pretend(t *testing.T, d disk, dir string) (durable int, err error) {
	t.Helper()
	p := tinyPosition(0)
	p.Config.Out = dir
	durable = -1
	r, err := newRun(d, dir, p.Config)
	if err != nil {
		return durable, err
	}
	defer func() {
		if e := r.Close(); err == nil {
			err = e
		}
	}()
	checkpoint := func(step int) error {
		if err := r.flush(); err != nil {
			return err
		}
		p.Step = step
		r.mark(&p)
		_, err := r.saveCheckpoint(step, tinyCheckpoint(t, p))
		if err == nil {
			durable = step
		}
		return err
	}
	if err := r.WriteRun(RunInfo{Model: "tiny"}); err != nil {
		return durable, err
	}
	if err := checkpoint(0); err != nil {
		return durable, err
	}
	for step := 1; step <= 4; step++ {
		if err := r.WriteStep(StepRecord{Epoch: 1, Step: step, Loss: 2}); err != nil {
			return durable, err
		}
		if step%2 == 0 {
			if err := checkpoint(step); err != nil {
				return durable, err
			}
			if err := r.writeFile(ModelFile, bytes.Repeat([]byte{byte(step)}, 1000)); err != nil {
				return durable, err
			}
		}
	}
	return durable, nil
}

// checkFolder checks that nothing in a run folder is worse than before the fault. Lines of metrics are whole where the
// fault was a passing one.
func checkFolder(t *testing.T, dir string, durable int, wholeLines bool) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, ConfigFile)); err != nil {
		if durable >= 0 {
			t.Errorf("%s is gone", ConfigFile)
		}
		return // the run had not begun
	}
	if b, err := os.ReadFile(filepath.Join(dir, ModelFile)); err == nil && (len(b) != 1000 || b[0] != b[999]) {
		t.Errorf("%s is torn", ModelFile)
	}
	if wholeLines {
		readEvents(t, dir)
	}
	if b, err := os.ReadFile(filepath.Join(dir, MetricsFile)); err == nil && wholeLines && len(b) > 0 &&
		b[len(b)-1] != '\n' {
		t.Errorf("%s ends in a part of a line", MetricsFile)
	}
	all, err := checkpoints(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if _, err := readCheckpoint(path); err != nil {
			t.Errorf("torn: %v", err)
		}
	}
	s, err := OpenSaved(dir)
	if err != nil {
		t.Errorf("the run can't be resumed: %v", err)
		return
	}
	defer s.Close()
	if s.Checkpoint == nil {
		if durable >= 0 {
			t.Errorf("the checkpoint of step %d is gone", durable)
		}
		return
	}
	if s.Checkpoint.Step < durable {
		t.Errorf("the newest checkpoint is of step %d, that of step %d had been written", s.Checkpoint.Step, durable)
	}
	params, want := tiny(t, s.Checkpoint.Step)
	got, err := s.Checkpoint.state(params)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-written +read):\n%s", diff)
	}
	m, err := readMetricsUpTo(filepath.Join(dir, MetricsFile), s.Checkpoint.MetricsBytes)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Steps) != s.Checkpoint.Step {
		t.Errorf("%d steps of metrics belong to the checkpoint of step %d", len(m.Steps), s.Checkpoint.Step)
	}
	// Going on leaves the events of these steps.
	r, err := resumeRun(osDisk{}, s, s.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if got := len(readEvents(t, dir)["loss/batch"]); got != s.Checkpoint.Step {
		t.Errorf("%d steps of events belong to the checkpoint of step %d", got, s.Checkpoint.Step)
	}
}

// A checkpoint whose tensors have another shape or type is refused with its name.
func TestCheckpointOfAnotherNetwork(t *testing.T) {
	b := tinyCheckpoint(t, tinyPosition(1))
	f, err := safetensors.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	f.Tensors[0].Shape = []int{f.Tensors[0].Len(), 1}
	if b, err = seal(f); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "step-000000000001.safetensors")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := readCheckpoint(path)
	if err != nil {
		t.Fatal(err)
	}
	params, _ := tiny(t, 1)
	if _, err = c.state(params); err == nil || !strings.Contains(err.Error(), f.Tensors[0].Name) ||
		!strings.Contains(err.Error(), path) {
		t.Errorf("error %v, expected one that names file and tensor", err)
	}
}
