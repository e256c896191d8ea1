package train

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every field of Config is a setting, and every setting says what it is.
func TestEveryFieldHasItsRow(t *testing.T) {
	fields := reflect.TypeFor[Config]()
	for i := range fields.NumField() {
		if name := fields.Field(i).Name; settingOf[name].name == "" {
			t.Errorf("Config.%s has no row in the table of settings", name)
		}
	}
	names := map[string]bool{}
	for _, s := range settings {
		if names[s.name] {
			t.Errorf("two rows are called %s", s.name)
		}
		names[s.name] = true
		if !strings.HasSuffix(s.help, ".") || s.more != "" && !strings.HasSuffix(s.more, ".") {
			t.Errorf("the texts of %s are no sentences: %q, %q", s.name, s.help, s.more)
		}
	}
	if len(settings) != fields.NumField() {
		t.Errorf("%d rows for %d fields", len(settings), fields.NumField())
	}
}

// Keys in JSON are a promise: checkpoints have them.
func TestConfigInJSON(t *testing.T) {
	c, err := LoadConfig("", "", "")
	if err != nil {
		t.Fatal(err)
	}
	c.MaxSteps, c.NewHead, c.Freeze = intPtr(3), true, "a.*"
	c.Resolve()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"data":"auto"`, `"max_steps":3`, `"micro_batch":0`, `"val_fraction":0.1`, `"resize":32`,
		`"shuffle":true`, `"lr_scale":""`, `"on_divergence":"stop"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is not in %s", want, b)
		}
	}
	var again Config
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, again); diff != "" {
		t.Errorf("-written +read:\n%s", diff)
	}

	// a file of before there were some of the settings
	if err := json.Unmarshal([]byte(`{"model":"nin","seed":0,"shuffle":false,"batch":4}`), &again); err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Model, want.Seed, want.Shuffle, want.Batch = "nin", 0, false, 4
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("-wanted +read of an old file:\n%s", diff)
	}
}
