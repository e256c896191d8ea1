package train

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestRunFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs", "a")
	cfg := seedConfig(t)
	cfg.Out, cfg.MaxSteps = dir, intPtr(12)
	cfg.Resolve()
	r, err := NewRun(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	info := RunInfo{"1.0", "nin", 966986, "seed", "llvmpipe", "Mesa 22.3.6", "sample", "ab12", 100,
		map[string]string{"conv/forward 64×3×32×32 to 192 k5 s1 p2": "straight"}}
	step := StepRecord{1, 1, 2.31, 0.01, 41.2, 1.5}
	bad := StepRecord{1, 2, math.NaN(), math.Inf(1), math.Inf(-1), math.NaN()}
	epoch := EpochRecord{1, 782, 0.01, 2.1, 0.25, 2.2, 0.24, 12.5, 4000, 32, 0.75, 0.5, 1.5}
	unmeasured := EpochRecord{2, 782, 0.01, 2, math.NaN(), math.NaN(), math.NaN(), 12.5, 4000, 32, math.NaN(), math.NaN(),
		0}
	for _, err := range []error{r.WriteRun(info), r.WriteStep(step), r.WriteStep(bad), r.WriteEpoch(epoch),
		r.WriteEpoch(unmeasured)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	// An epoch reaches the file without closing it.
	text, err := os.ReadFile(r.Path(MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		`{"type":"run","version":"1.0","model":"nin","parameters":966986,"recipe":"seed","adapter":"llvmpipe",` +
			`"driver":"Mesa 22.3.6","data_set":"sample","data_sha256":"ab12","classes":100,` +
			`"variants":{"conv/forward 64×3×32×32 to 192 k5 s1 p2":"straight"}}`,
		`{"type":"step","epoch":1,"step":1,"loss":2.31,"learning_rate":0.01,"images_per_second":41.2,"gradient_norm":1.5}`,
		`{"type":"step","epoch":1,"step":2,"loss":null,"learning_rate":null,"images_per_second":null,"gradient_norm":null}`,
		`{"type":"epoch","epoch":1,"steps":782,"learning_rate":0.01,"train_loss":2.1,"train_accuracy":0.25,` +
			`"test_loss":2.2,"test_accuracy":0.24,"seconds":12.5,"images_per_second":4000,` +
			`"size":32,"train_top5_accuracy":0.75,"test_top5_accuracy":0.5,"waited_seconds":1.5}`,
		`{"type":"epoch","epoch":2,"steps":782,"learning_rate":0.01,"train_loss":2,"train_accuracy":null,` +
			`"test_loss":null,"test_accuracy":null,"seconds":12.5,"images_per_second":4000,"size":32}`,
	}, "\n") + "\n"
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", MetricsFile, diff)
	}
	late := StepRecord{3, 3, 1, 0.01, 1, 0}
	if err := r.WriteStep(late); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	m, err := ReadMetrics(r.Path(MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	nan := math.NaN()
	wantMetrics := &Metrics{Run: info, Steps: []StepRecord{step, {1, 2, nan, nan, nan, nan}, late},
		Epochs: []EpochRecord{epoch, unmeasured}}
	if diff := cmp.Diff(wantMetrics, m, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}

	// config.toml gives the same configuration again.
	var again Config
	if err := MergeFile(r.Path(ConfigFile), &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(cfg, again); diff != "" {
		t.Errorf("%s (-want +got):\n%s", ConfigFile, diff)
	}

	// The folder now holds a run, and a second one must not touch it.
	_, err = NewRun(dir, cfg)
	var usage *UsageError
	if !errors.As(err, &usage) || usage.Flag != "--out" || !strings.Contains(err.Error(), dir) {
		t.Errorf("second run: %v, expected a *UsageError that names the folder", err)
	}
	if after, _ := os.ReadFile(r.Path(MetricsFile)); !bytes.HasPrefix(after, text) {
		t.Error("the refused run changed the first one's metrics")
	}
}

func TestNewRunFolders(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		_, err := NewRun(dir, seedConfig(t))
		if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "--out") {
			t.Errorf("%s: error %v, expected one that names the folder and the flag", dir, err)
		}
	}

	empty := filepath.Join(root, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	r, err := NewRun(empty, seedConfig(t))
	if err != nil {
		t.Fatalf("an empty folder was refused: %v", err)
	}
	r.Discard()
	r.Discard()
	if left, err := os.ReadDir(empty); err != nil || len(left) != 0 {
		t.Errorf("after Discard the folder holds %v, %v", left, err)
	}

	r, err = NewRun(filepath.Join(root, "a", "b", "c"), seedConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	r.Discard()
	if _, err := os.Stat(filepath.Join(root, "a")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Discard left a folder that NewRun made: %v", err)
	}

	// A configuration that can't be written leaves nothing behind either.
	bad := seedConfig(t)
	bad.Seed = math.MaxUint64
	if _, err := NewRun(filepath.Join(root, "d"), bad); err == nil {
		t.Error("a seed that TOML can't hold was written")
	}
	if _, err := os.Stat(filepath.Join(root, "d")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a failed run left its folder: %v", err)
	}
}

func TestWriteAfterFailureNamesTheFile(t *testing.T) {
	r, err := NewRun(filepath.Join(t.TempDir(), "a"), seedConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	r.metrics.file.Close()
	if err := r.WriteEpoch(EpochRecord{}); err == nil || !strings.Contains(err.Error(), MetricsFile) {
		t.Errorf("error %v, expected one that names the file", err)
	}
}

func TestDefaultRunDir(t *testing.T) {
	now := time.Date(2024, 3, 9, 7, 5, 1, 0, time.UTC)
	if got, want := DefaultRunDir(now, "nin-bn"), filepath.Join("runs", "20240309-070501-nin-bn"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestReadMetricsFaults(t *testing.T) {
	const step = `{"type":"step","epoch":1,"step":1,"loss":2,"learning_rate":1,"images_per_second":1}`
	for _, c := range []struct {
		name, text string
		steps      int
		problem    string // empty: no error
	}{
		{"empty", "", 0, ""},
		{"whole", step + "\n", 1, ""},
		{"no newline at the end", step, 1, ""},
		{"cut last line", step + "\n" + step[:40], 1, ""},
		{"cut after the type", step + "\n" + step[:len(step)-1], 1, ""},
		{"unknown type", `{"type":"note","x":1}` + "\n" + step + "\n", 1, ""},
		{"unknown field", `{"type":"step","step":4,"new":[1]}` + "\n", 1, ""},
		{"blank line", step + "\n\n" + step + "\n", 2, ""},
		{"cut line in the middle", step[:40] + "\n" + step + "\n", 0, "line 1"},
		{"not JSON", step + "\nhello\n", 0, "line 2"},
		{"not an object", step + "\n[1]\n", 0, "line 2"},
		{"no type", step + "\n" + `{"step":1}` + "\n", 0, "line 2"},
		{"wrong type", `{"type":"step","step":"one"}` + "\n", 0, "line 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), MetricsFile)
			if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			m, err := ReadMetrics(path)
			if c.problem != "" {
				if err == nil || !strings.Contains(err.Error(), c.problem) || !strings.Contains(err.Error(), path) {
					t.Errorf("error %v, expected one that names the file and %s", err, c.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Steps) != c.steps {
				t.Errorf("%d steps, want %d", len(m.Steps), c.steps)
			}
		})
	}
	if _, err := ReadMetrics(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func FuzzReadMetrics(f *testing.F) {
	f.Add([]byte(`{"type":"run","model":"nin"}` + "\n" + `{"type":"step","step":1,"loss":null}` + "\n" +
		`{"type":"epoch","epoch":1}`))
	f.Add([]byte("{\"type\":\"step\"}\n{\"ty"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMetrics(b)
		if err != nil {
			return
		}
		// A file that is read stays readable when its last line is cut off, and has the records of its whole lines.
		half := b[:len(b)/2]
		torn, err := decodeMetrics(half)
		if err != nil {
			t.Fatalf("cutting the file broke it: %v", err)
		}
		cut, err := decodeMetrics(half[:bytes.LastIndexByte(half, '\n')+1])
		if err != nil {
			t.Fatalf("cutting the file after a line broke it: %v", err)
		}
		// a line may be whole but for its end
		if more := len(torn.Steps) + len(torn.Epochs) - len(cut.Steps) - len(cut.Epochs); more < 0 || more > 1 {
			t.Fatalf("the torn line added %d records", more)
		}
		if len(cut.Steps) > len(m.Steps) || len(cut.Epochs) > len(m.Epochs) {
			t.Fatal("cutting the file added records")
		}
	})
}
