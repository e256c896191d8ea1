package golden

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInit holds Init to the initial weights PyTorch's whole-network runs started from.
func TestInit(t *testing.T) {
	for _, model := range []string{"nin", "nin-bn"} {
		data, err := os.ReadFile(filepath.Join("..", "models", "testdata", model+"-8.json"))
		if err != nil {
			t.Fatal(err)
		}
		var run struct {
			Tensors []struct {
				Name   string
				Shape  []int
				FanIn  int    `json:"fan_in"`
				Last   bool   `json:"last"`
				SHA256 string `json:"init_sha256"`
			}
		}
		if err := json.Unmarshal(data, &run); err != nil {
			t.Fatal(err)
		}
		if len(run.Tensors) == 0 {
			t.Fatalf("%s: no tensors", model)
		}
		for _, c := range run.Tensors {
			if strings.HasSuffix(c.Name, ".num_batches_tracked") {
				continue // a count, it starts at 0
			}
			n := 1
			for _, d := range c.Shape {
				n *= d
			}
			hash := sha256.New()
			for _, v := range Init(c.Name, n, c.FanIn, c.Last) {
				b := math.Float32bits(v)
				hash.Write([]byte{byte(b), byte(b >> 8), byte(b >> 16), byte(b >> 24)})
			}
			if got := hex.EncodeToString(hash.Sum(nil)); got != c.SHA256 {
				t.Errorf("%s %s: SHA-256 %s, want %s", model, c.Name, got, c.SHA256)
			}
		}
	}
}
