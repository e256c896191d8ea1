package tune

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/gpu"
	"ninvk/ops"
)

var adapter = gpu.Adapter{Name: "Some GPU (256 bits)", Backend: "Vulkan", Driver: "1.2.3"}

// entry is a plausible one for the i-th shape.
func entry(i int) Entry {
	return Entry{Key: ops.Conv{C: i + 1, M: 5, K: 3, Stride: 1}.Key(ops.ConvForward,
		ops.Shape{N: 2, C: i + 1, H: 8, W: 8}), Chosen: "tiled", Candidates: []Candidate{
		{Variant: "tiled", Milliseconds: []float64{1.5, 1.25, 1.75}, Predicted: 2},
		{Variant: "naive", Predicted: 9000.5, Dropped: "would take more than 3 times as long as the fastest"},
	}}
}

func save(t *testing.T, path string, entries ...Entry) {
	t.Helper()
	if err := Save(path, adapter, entries); err != nil {
		t.Fatal(err)
	}
}

func TestCacheKeepsEntries(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "tune-x.json")
	if got, err := Load(path, adapter); err != nil || len(got) != 0 {
		t.Fatalf("a file that is not there: %v, %v", got, err)
	}
	save(t, path, entry(0), entry(1))
	changed := entry(1)
	changed.Candidates[0].Milliseconds[0] = 1
	save(t, path, changed, entry(2))
	got, err := Load(path, adapter)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Entry{entry(0).Key: entry(0), changed.Key: changed, entry(2).Key: entry(2)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A file that can't be used says why in one line that names it, and the next Save replaces it.
func TestCacheBroken(t *testing.T) {
	good := func(t *testing.T) string {
		path := filepath.Join(t.TempDir(), "tune-x.json")
		save(t, path, entry(0))
		return string(must(os.ReadFile(path))(t))
	}(t)
	resummed := func(edit func(*cache)) string {
		c := must(parse([]byte(good)))(t)
		edit(&c)
		c.SHA256 = c.sum()
		return string(must(json.Marshal(c))(t))
	}
	for _, v := range []struct{ name, text, says string }{
		{"empty", "", "not a whole cache"},
		{"cut off", good[:len(good)/2], "not a whole cache"},
		{"another format", `{"x": 1}`, "not a whole cache"},
		{"more behind", good + "{}", "behind its end"},
		{"a time changed", strings.Replace(good, "1.25", "1.24", 1), "SHA-256"},
		{"a choice changed", strings.Replace(good, `"chosen": "tiled"`, `"chosen": "naive"`, 1), "SHA-256"},
		{"other shaders", resummed(func(c *cache) { c.Shaders = "0" }), "another version of the kernels"},
		{"another driver", resummed(func(c *cache) { c.Driver = "1.2.4" }), "another driver"},
		{"another width", resummed(func(c *cache) { c.VectorWidth = 512 }), "another vector width"},
		{"an unknown variant", resummed(func(c *cache) { c.Entries[0].Candidates[1].Variant = "gone" }), "no variant"},
		{"an unknown pass", resummed(func(c *cache) { c.Entries[0].Key = "conv/sideways" }), "no such pass"},
		{"a choice that was dropped", resummed(func(c *cache) { c.Entries[0].Chosen = "naive" }), "no candidate left"},
		{"a negative time", resummed(func(c *cache) { c.Entries[0].Candidates[0].Milliseconds[0] = -1 }), "took -1 ms"},
		{"twice the same", resummed(func(c *cache) { c.Entries = append(c.Entries, c.Entries[0]) }), "twice"},
	} {
		t.Run(v.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tune-x.json")
			if err := os.WriteFile(path, []byte(v.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := Load(path, adapter)
			if err == nil || len(got) != 0 || !strings.Contains(err.Error(), v.says) || !strings.Contains(err.Error(), path) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, %v; want one line with the path and %q", got, err, v.says)
			}
			save(t, path, entry(3))
			if got, err := Load(path, adapter); err != nil || len(got) != 1 {
				t.Errorf("after saving: %v, %v", got, err)
			}
		})
	}
}

// saverEnv makes the test program one of several processes that save at once.
const saverEnv = "NINVK_TEST_SAVER"

func TestCacheManyProcesses(t *testing.T) {
	const processes, each = 4, 8
	if s := os.Getenv(saverEnv); s != "" {
		var k int
		path, _, _ := strings.Cut(s, "\n")
		fmt.Sscan(s[len(path):], &k)
		for i := range each {
			save(t, path, entry(k*each+i))
			if _, err := Load(path, adapter); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	path := filepath.Join(t.TempDir(), "tune-x.json")
	var all []*exec.Cmd
	for k := range processes {
		c := exec.Command(os.Args[0], "-test.run=^TestCacheManyProcesses$")
		c.Env = append(os.Environ(), fmt.Sprintf("%s=%s\n%d", saverEnv, path, k))
		c.Stderr = os.Stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	for _, c := range all {
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	got, err := Load(path, adapter)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != processes*each {
		t.Errorf("%d entries are left of %d", len(got), processes*each)
	}
}

// Whatever the file holds, reading it gives entries that can be used or an error, and what was read is written alike.
func FuzzParse(f *testing.F) {
	c := newCache(adapter)
	c.Entries = []Entry{entry(0), entry(1)}
	c.SHA256 = c.sum()
	b, err := json.Marshal(c)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"adapter":"","calls":null}`))
	f.Add([]byte(
		`{"calls":[{"call":"conv/forward x","chosen":"tiled","candidates":[{"variant":"tiled","milliseconds":[1e400]}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var c cache
		if json.Unmarshal(b, &c) == nil { // the checksum would keep all but the seeds out
			c.SHA256 = c.sum()
			b = must(json.Marshal(c))(t)
		}
		got, err := parse(b)
		if err != nil {
			return
		}
		for _, e := range got.Entries {
			if e.check() != nil {
				t.Errorf("entry %q was let through: %v", e.Key, e.check())
			}
		}
		again, err := parse(must(json.Marshal(got))(t))
		if diff := cmp.Diff(got, again); err != nil || diff != "" {
			t.Errorf("written and read again: %v\n%s", err, diff)
		}
	})
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// Choices made by another user are added to one's own, and serve other batch sizes where that is asked for.
func TestShare(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	if err := Share(from, to, adapter); err != nil {
		t.Fatalf("nothing to share: %v", err)
	}
	place := func(dir string) string { return must(fileIn(dir, adapter))(t) }
	save(t, place(from), entry(0), entry(1))
	save(t, place(to), entry(2))
	if err := Share(from, to, adapter); err != nil {
		t.Fatal(err)
	}
	got := must(Load(place(to), adapter))(t)
	want := map[string]Entry{entry(0).Key: entry(0), entry(1).Key: entry(1), entry(2).Key: entry(2)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestByShape(t *testing.T) {
	conv := ops.Conv{C: 3, M: 5, K: 3, Stride: 1}
	at := func(batch int, chosen string) Entry {
		return Entry{Key: conv.Key(ops.ConvForward, ops.Shape{N: batch, C: 3, H: 8, W: 8}), Chosen: chosen}
	}
	kept := map[string]Entry{}
	for _, e := range []Entry{at(2, "naive"), at(64, "tiled"), at(7, "naive")} {
		kept[e.Key] = e
	}
	call := Call{Pass: ops.ConvForward, Op: conv, In: ops.Shape{N: 256, C: 3, H: 8, W: 8}}
	if got := byShape(kept)[call.one().Key()]; got.Chosen != "tiled" {
		t.Errorf("the choice for another batch is %+v, want that of the largest", got)
	}
	call.In.H = 9
	if got, ok := byShape(kept)[call.one().Key()]; ok {
		t.Errorf("another shape has the choice %+v", got)
	}
}
