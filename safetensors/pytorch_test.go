package safetensors

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A state_dict of PyTorch comes in with names, shapes and bits unchanged, and goes out as the very bytes that the
// safetensors library writes.
func TestPyTorchBothWays(t *testing.T) {
	file := filepath.Join("testdata", "pytorch.safetensors")
	f, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("testdata", "pytorch.json"))
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Name, DType string
		Shape       []int
		Data        string
	}
	var want, got []row
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		x, ok := f.Tensor(w.Name)
		if !ok {
			t.Errorf("%s is missing", w.Name)
		}
		// Through float32 values, as the network sees them: odd NaNs and subnormal numbers must survive.
		if x.DType == "F32" {
			v, err := x.Float32s()
			if err != nil {
				t.Fatal(err)
			}
			x = FromFloat32s(x.Name, x.Shape, v)
		}
		got = append(got, row{x.Name, x.DType, x.Shape, hex.EncodeToString(x.Data)})
	}
	if diff := cmp.Diff(want, got); diff != "" || len(f.Tensors) != len(want) {
		t.Errorf("%d tensors of %d; -PyTorch +read:\n%s", len(f.Tensors), len(want), diff)
	}

	// The library writes the larger types first.
	slices.SortStableFunc(f.Tensors, func(a, b Tensor) int { return dtypes[b.DType].bits - dtypes[a.DType].bits })
	back, err := Encode(f)
	if err != nil {
		t.Fatal(err)
	}
	original, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back, original) {
		t.Errorf("written again it is\n%q\nthe original is\n%q", back, original)
	}
}
