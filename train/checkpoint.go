package train

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ninvk/models"
	"ninvk/nn"
	"ninvk/safetensors"
	"ninvk/tensorboard"
)

// CheckpointDir is the folder of a run folder that holds its checkpoints: step-NUMBER.safetensors, the newest and the
// one before.
//
// A checkpoint is a safetensors file. Parameters and running values have the names of a weights file, momenta the same
// behind "momentum.", averages behind "average.". Its metadata has what a weights file tells of its network, the
// position as JSON, and the SHA-256 of the whole file, taken with zeros in the place of the checksum itself.
const CheckpointDir = "checkpoint"

const (
	positionKey    = models.CheckpointKey
	checksumKey    = "ninvk.sha256"
	momentumPrefix = models.MomentumPrefix
	averagePrefix  = models.AveragePrefix

	checkpointFormat = 1
)

// Position is where in a run a checkpoint stands, and what run it is.
type Position struct {
	Format     int    `json:"format"`
	Version    string `json:"version"` // of ninvk
	Adapter    string `json:"adapter"`
	Driver     string `json:"driver"`
	DataSet    string `json:"data_set"`
	DataSHA256 string `json:"data_sha256"`
	Config     Config `json:"config"`

	Step         int     `json:"step"`          // steps done
	Epochs       int     `json:"epochs"`        // epochs evaluated and recorded
	EpochSeconds float64 `json:"epoch_seconds"` // spent on the epoch under way
	MetricsBytes int64   `json:"metrics_bytes"` // size of metrics.jsonl at this point
	EventFile    string  `json:"event_file"`    // the newest one at this point, "" if there was none
	EventBytes   int64   `json:"event_bytes"`   // its size
	Best         number  `json:"best"`          // test accuracy, NaN where none was measured
	BestEpoch    int     `json:"best_epoch"`
	Stuck        int     `json:"stuck"` // steps in a row with the loss of a dead network
	Rollbacks    int     `json:"rollbacks"`
	Tracked      int64   `json:"batches_tracked"`
}

// Checkpoint is a checkpoint file that was read and found whole.
type Checkpoint struct {
	Position
	Path    string
	tensors *safetensors.File
}

// CheckpointError says what is wrong with a checkpoint file, or what beside it does not fit it.
type CheckpointError struct{ Path, Problem string }

func (e *CheckpointError) Error() string { return e.Path + ": " + e.Problem }

// encodeCheckpoint gives the bytes of a checkpoint.
func encodeCheckpoint(p Position, about models.Metadata, params []nn.Param, s *nn.State) ([]byte, error) {
	p.Format, p.Tracked = checkpointFormat, s.Tracked
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	f := &safetensors.File{Metadata: about.Text()}
	f.Metadata[positionKey] = string(text)
	for i, q := range params {
		if s.Values[i] != nil {
			f.Tensors = append(f.Tensors, safetensors.FromFloat32s(q.Name, q.Shape, s.Values[i]))
		}
		if s.Momenta[i] != nil {
			f.Tensors = append(f.Tensors, safetensors.FromFloat32s(momentumPrefix+q.Name, q.Shape, s.Momenta[i]))
		}
		if s.Average != nil && s.Average[i] != nil {
			f.Tensors = append(f.Tensors, safetensors.FromFloat32s(averagePrefix+q.Name, q.Shape, s.Average[i]))
		}
	}
	return seal(f)
}

// seal encodes a file with its checksum.
func seal(f *safetensors.File) ([]byte, error) {
	f.Metadata[checksumKey] = strings.Repeat("0", 2*sha256.Size)
	b, err := safetensors.Encode(f)
	if err != nil {
		return nil, err
	}
	place := checksumPlace(b)
	sum := sha256.Sum256(b)
	hex.Encode(place, sum[:])
	return b, nil
}

// checksumPlace is the part of a checkpoint's bytes that holds the checksum in hexadecimal, nil where there is none.
// Within the header no string can hold the key with its quotes, so the first match is the key itself.
func checksumPlace(b []byte) []byte {
	if len(b) < 8 {
		return nil
	}
	end := min(binary.LittleEndian.Uint64(b), uint64(len(b)-8)) + 8
	key := []byte(`"` + checksumKey + `":"`)
	at := bytes.Index(b[8:end], key)
	if at < 0 {
		return nil
	}
	from := 8 + at + len(key)
	if from+2*sha256.Size > int(end) {
		return nil
	}
	return b[from : from+2*sha256.Size]
}

// decodeCheckpoint reads the bytes of a checkpoint; the problem is said without the file's name.
func decodeCheckpoint(b []byte) (*Checkpoint, error) {
	place := checksumPlace(b)
	if place == nil {
		return nil, errors.New("it has no checksum; it is no checkpoint, or damaged")
	}
	said := string(place)
	copy(place, strings.Repeat("0", len(place)))
	sum := sha256.Sum256(b)
	copy(place, said)
	if hex.EncodeToString(sum[:]) != said {
		return nil, errors.New("its checksum does not fit its content: the file is damaged")
	}
	f, err := safetensors.Decode(b)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{tensors: f}
	dec := json.NewDecoder(strings.NewReader(f.Metadata[positionKey]))
	if err := dec.Decode(&c.Position); err != nil {
		return nil, fmt.Errorf("its position can't be read: %w", err)
	}
	if c.Format != checkpointFormat {
		return nil, fmt.Errorf("it has format %d, this version of ninvk reads format %d", c.Format, checkpointFormat)
	}
	if err := c.Config.Validate(); err != nil {
		return nil, fmt.Errorf("its settings can't be right: %w", err)
	}
	if c.Config.Resize == nil || c.Step < 0 || c.Epochs < 0 || c.MetricsBytes < 0 || c.EventBytes < 0 || c.Stuck < 0 ||
		c.Rollbacks < 0 || c.Tracked < 0 || !(c.EpochSeconds >= 0) {
		return nil, errors.New("its position can't be right")
	}
	if _, ok := tensorboard.Begun(c.EventFile); !ok && c.EventFile != "" {
		return nil, fmt.Errorf("%q is no event file of ours", c.EventFile)
	}
	return c, nil
}

// readCheckpoint reads a checkpoint file. An error about its content is a *CheckpointError.
func readCheckpoint(path string) (*Checkpoint, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a checkpoint: %w", err)
	}
	c, err := decodeCheckpoint(b)
	if err != nil {
		return nil, &CheckpointError{path, err.Error()}
	}
	c.Path = path
	return c, nil
}

// state finds the tensors of a network in the checkpoint.
func (c *Checkpoint) state(params []nn.Param) (*nn.State, error) {
	s := &nn.State{Values: make([][]float32, len(params)), Momenta: make([][]float32, len(params)), Tracked: c.Tracked}
	if c.Config.EMA > 0 {
		s.Average = make([][]float32, len(params))
	}
	want := 0
	find := func(name string, shape []int) ([]float32, error) {
		want++
		t, ok := c.tensors.Tensor(name)
		if !ok {
			return nil, &CheckpointError{c.Path, fmt.Sprintf("tensor %s is missing", name)}
		}
		if t.DType != "F32" || !slices.Equal(t.Shape, shape) {
			return nil, &CheckpointError{c.Path, fmt.Sprintf("tensor %s is %s of shape %v, the network needs F32 of %v", name,
				t.DType, t.Shape, shape)}
		}
		return t.Float32s()
	}
	var err error
	for i, p := range params {
		if p.Role == nn.BatchesTracked {
			continue
		}
		if s.Values[i], err = find(p.Name, p.Shape); err != nil {
			return nil, err
		}
		if s.Average != nil {
			if s.Average[i], err = find(averagePrefix+p.Name, p.Shape); err != nil {
				return nil, err
			}
		}
		if p.Trained() {
			if s.Momenta[i], err = find(momentumPrefix+p.Name, p.Shape); err != nil {
				return nil, err
			}
		}
	}
	if n := len(c.tensors.Tensors); n != want {
		return nil, &CheckpointError{c.Path, fmt.Sprintf("it has %d tensors, the network needs %d", n, want)}
	}
	if what := notFinite(params, s); what != "" {
		return nil, &CheckpointError{c.Path, what}
	}
	return s, nil
}

// notFinite names the first value of a state that is NaN or infinite, "" where there is none.
func notFinite(params []nn.Param, s *nn.State) string {
	for i, p := range params {
		for _, k := range []struct {
			prefix string
			values [][]float32
		}{{"", s.Values}, {momentumPrefix, s.Momenta}, {averagePrefix, s.Average}} {
			if k.values == nil {
				continue
			}
			for j, v := range k.values[i] {
				if math.Float32bits(v)&0x7f800000 == 0x7f800000 {
					return fmt.Sprintf("element %d of %s%s is %v", j, k.prefix, p.Name, v)
				}
			}
		}
	}
	return ""
}

var checkpointName = regexp.MustCompile(`^step-(\d+)\.safetensors$`)

// checkpoints lists the checkpoint files of a run folder, the oldest first.
func checkpoints(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, CheckpointDir)) // sorted, and the numbers have leading zeros
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var paths []string
	for _, e := range entries {
		if checkpointName.MatchString(e.Name()) {
			paths = append(paths, filepath.Join(dir, CheckpointDir, e.Name()))
		}
	}
	return paths, err
}

// checkpointBefore finds the newest checkpoint of a run folder from before a step, the zero value where there is none,
// and those after it.
func checkpointBefore(dir string, step int) (found written, later []string, err error) {
	all, err := checkpoints(dir)
	for _, path := range slices.Backward(all) {
		n, e := strconv.Atoi(checkpointName.FindStringSubmatch(filepath.Base(path))[1])
		if e == nil && n < step {
			return written{path: path, step: n}, later, err
		}
		later = append(later, path)
	}
	return written{}, later, err
}

// removeTorn removes what a killed process left of the checkpoint that it was writing.
func removeTorn(d disk, dir string) error {
	entries, err := os.ReadDir(filepath.Join(dir, CheckpointDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name, torn := strings.CutSuffix(e.Name(), temporary); torn && checkpointName.MatchString(name) {
			if err := d.Remove(filepath.Join(dir, CheckpointDir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// saveCheckpoint writes a checkpoint whole, or leaves those that were there, and returns its path. Then all but the
// newest two are removed.
func saveCheckpoint(d disk, dir string, step int, b []byte) (string, error) {
	path := filepath.Join(dir, CheckpointDir, fmt.Sprintf("step-%012d.safetensors", step))
	if err := writeWhole(d, path, b); err != nil {
		return "", err
	}
	all, err := checkpoints(dir)
	if err != nil {
		return "", err
	}
	for _, old := range all[:max(0, len(all)-2)] {
		if err := d.Remove(old); err != nil {
			return "", fmt.Errorf("removing the old checkpoint %s: %w", old, err)
		}
	}
	return path, nil
}

// Saved is a run folder to go on with. It is locked until Close.
type Saved struct {
	Dir        string
	Config     Config      // the run's settings
	Checkpoint *Checkpoint // nil where the run was stopped before the first one: it then starts over
	Run        RunInfo     // what the run said of itself; empty where it was stopped before
	metrics    *Metrics    // up to the checkpoint; nil where they are in the folder
	lock       *folderLock
}

// OpenSaved locks a run folder and reads its newest checkpoint. The error is a *UsageError where the folder holds no
// run, a *LockedError where a process trains in it, and a *CheckpointError where the checkpoint is damaged.
func OpenSaved(dir string) (*Saved, error) {
	dir = filepath.Clean(dir)
	if _, err := os.Stat(filepath.Join(dir, ConfigFile)); err != nil {
		return nil, &UsageError{"--resume", dir, fmt.Sprintf("this is no run folder: it has no %s", ConfigFile)}
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &Saved{Dir: dir, lock: lock}
	if err := s.read(); err != nil {
		s.Close()
		return nil, err
	}
	s.Config.Out = dir
	return s, nil
}

func (s *Saved) read() error {
	all, err := checkpoints(s.Dir)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		s.Config = defaults()
		if err := MergeFile(filepath.Join(s.Dir, ConfigFile), &s.Config); err != nil {
			return err
		}
		s.resolve()
		return s.Config.Validate()
	}
	s.Checkpoint, err = readCheckpoint(all[len(all)-1])
	var damaged *CheckpointError
	if errors.As(err, &damaged) && len(all) > 1 {
		if before, e := readCheckpoint(all[len(all)-2]); e == nil {
			damaged.Problem += fmt.Sprintf("; the one before it, of step %d, is whole: to go on from that, delete the damaged "+
				"file", before.Step)
		}
	}
	if err != nil {
		return err
	}
	s.Config = s.Checkpoint.Config
	s.resolve()
	// what is wrong with it is told when the run goes on
	if m, err := readMetricsUpTo(filepath.Join(s.Dir, MetricsFile), s.Checkpoint.MetricsBytes); err == nil {
		s.Run = m.Run
	}
	return nil
}

// resolve fills in what the run's settings leave open. A run of before there were shards has one.
func (s *Saved) resolve() {
	s.Config.Resolve()
	s.Config.Shards = cmp.Or(s.Config.Shards, 1)
}

// Close gives the folder's lock up, unless a run has taken it over.
func (s *Saved) Close() { s.lock.release() }

// Check compares the settings a run is to be resumed with with those it was begun with. A difference that would give
// another run is a *UsageError that names both values.
func (s *Saved) Check(c Config) error {
	was := s.Config
	for _, x := range settings {
		if before, now := x.given(&was), x.given(&c); x.fixed && before != now {
			return &UsageError{"--" + x.flag(), fmt.Sprint(now),
				fmt.Sprintf("the run in %s was begun with %v; leave the flag out to go on, or start a new run", s.Dir, before)}
		}
	}
	if c.Epochs < was.Epochs {
		return &UsageError{"--epochs", fmt.Sprint(c.Epochs),
			fmt.Sprintf("the run in %s was begun with %d; it can be made longer, not shorter", s.Dir, was.Epochs)}
	}
	return nil
}
