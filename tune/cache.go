package tune

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/moby/sys/atomicwriter"

	"ninvk/gpu"
	"ninvk/ops"
)

// Entry is what was measured for one call.
type Entry struct {
	Key        string      `json:"call"` // pass, shape and attributes, see ops.ConvCall.Key
	Chosen     string      `json:"chosen"`
	Candidates []Candidate `json:"candidates"`
}

// Candidate is a variant with its times.
type Candidate struct {
	Variant      string    `json:"variant"`
	Milliseconds []float64 `json:"milliseconds,omitempty"` // samples
	Predicted    float64   `json:"predicted_milliseconds,omitempty"`
	Dropped      string    `json:"dropped,omitempty"` // why it was not measured, or not to the end
}

// cache is the file in which measured choices are kept, one an adapter and driver.
type cache struct {
	Adapter     string  `json:"adapter"`
	Driver      string  `json:"driver"`
	VectorWidth int     `json:"vector_width,omitempty"` // bits; of llvmpipe
	Shaders     string  `json:"shaders"`                // ops.Hash
	Entries     []Entry `json:"calls"`
	// of this object without this field, as Go's encoding/json writes it without indentation
	SHA256 string `json:"sha256"`
}

func newCache(a gpu.Adapter) cache {
	return cache{Adapter: a.Name, Driver: a.Driver, VectorWidth: a.VectorWidth, Shaders: ops.Hash()}
}

func (c cache) sum() string {
	c.SHA256 = ""
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // no values that JSON can't hold: parse and Measure see to that
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// File is the cache's path for an adapter, in the user's cache directory. There need not be one yet.
func File(a gpu.Adapter) (string, error) { return fileIn("", a) }

// fileIn is File in a cache directory, or if that is "" in this process's.
func fileIn(dir string, a gpu.Adapter) (path string, err error) {
	if dir == "" {
		if dir, err = os.UserCacheDir(); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "ninvk", "tune-"+gpu.FileName(a.Name+" "+a.Backend+" "+a.Driver)+".json"), nil
}

// Load reads the choices measured on an adapter by their calls' keys: none where the file is missing. The error says in
// a line why the file can't be used.
func Load(path string, a gpu.Adapter) (map[string]Entry, error) {
	entries := map[string]Entry{}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return entries, nil
	}
	if err != nil {
		return entries, err
	}
	c, err := parse(b)
	if err != nil {
		return entries, fmt.Errorf("%s: %w", path, err)
	}
	now := newCache(a)
	for _, x := range []struct{ what, was, is string }{
		{"adapter", c.Adapter, now.Adapter}, {"driver", c.Driver, now.Driver},
		{"vector width", fmt.Sprint(c.VectorWidth), fmt.Sprint(now.VectorWidth)},
		{"version of the kernels", c.Shaders, now.Shaders},
	} {
		if x.was != x.is {
			return entries, fmt.Errorf("%s was measured with another %s", path, x.what)
		}
	}
	for _, e := range c.Entries {
		entries[e.Key] = e
	}
	return entries, nil
}

// mostBytes is far beyond what all networks take.
const mostBytes = 16 << 20

// parse reads a cache file and checks everything in it.
func parse(b []byte) (cache, error) {
	var c cache
	if len(b) > mostBytes {
		return c, fmt.Errorf("%d bytes are too many", len(b))
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("not a whole cache of choices: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return c, errors.New("something stands behind its end")
	}
	if sum := c.sum(); c.SHA256 != sum {
		return c, fmt.Errorf("its content has the SHA-256 %s, not %q as it says", sum, c.SHA256)
	}
	seen := map[string]bool{}
	for _, e := range c.Entries {
		if seen[e.Key] {
			return c, fmt.Errorf("%q stands there twice", e.Key)
		}
		seen[e.Key] = true
		if err := e.check(); err != nil {
			return c, fmt.Errorf("%q: %w", e.Key, err)
		}
	}
	return c, nil
}

func (e Entry) check() error {
	pass, _ := Split(e.Key)
	known := ops.Variants(ops.Pass(pass))
	if known == nil {
		return errors.New("there is no such pass")
	}
	chosen := false
	for _, c := range e.Candidates {
		if !slices.Contains(known, c.Variant) {
			return fmt.Errorf("there is no variant %q", c.Variant)
		}
		chosen = chosen || c.Variant == e.Chosen && c.Dropped == ""
		for _, ms := range append(c.Milliseconds, c.Predicted) {
			if ms < 0 || math.IsNaN(ms) || math.IsInf(ms, 0) {
				return fmt.Errorf("variant %s took %v ms", c.Variant, ms)
			}
		}
	}
	if !chosen {
		return fmt.Errorf("%q is chosen, which is no candidate left", e.Chosen)
	}
	return nil
}

// Save adds entries to the cache file of an adapter; those measured before stay, where they still hold. Several
// processes may do so at once: each reads, adds and replaces the file as a whole while it holds a lock beside it.
func Save(path string, a gpu.Adapter, entries []Entry) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	unlock, err := lock(path + ".lock")
	if err != nil {
		return fmt.Errorf("locking %s.lock: %w", path, err)
	}
	defer func() {
		if e := unlock(); err == nil {
			err = e
		}
	}()
	all, _ := Load(path, a) // what can't be used makes place
	for _, e := range entries {
		all[e.Key] = e
	}
	c := newCache(a)
	c.Entries = slices.SortedFunc(maps.Values(all), func(a, b Entry) int { return cmp.Compare(a.Key, b.Key) })
	c.SHA256 = c.sum()
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return atomicwriter.WriteFile(path, append(b, '\n'), 0o600)
}
