package train

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
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
