package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/models"
)

// The list names every network; what is said of one adds up.
func TestModels(t *testing.T) {
	code, stdout, stderr := run(t, "", "models", "--json")
	if code != 0 {
		t.Fatal(stderr)
	}
	var all []model
	if err := json.Unmarshal([]byte(stdout), &all); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range all {
		names = append(names, m.Name)
	}
	if diff := cmp.Diff(models.Names(), names); diff != "" {
		t.Errorf("(-known +listed):\n%s", diff)
	}
	for _, m := range all {
		code, stdout, stderr := run(t, "", "models", m.Name, "--json")
		if code != 0 {
			t.Fatal(stderr)
		}
		var one model
		if err := json.Unmarshal([]byte(stdout), &one); err != nil {
			t.Fatal(err)
		}
		sum := m
		sum.Parameters, sum.MultiplyAdds = 0, 0
		seen := map[string]bool{}
		for _, l := range one.Layers {
			sum.Parameters += l.Parameters
			sum.MultiplyAdds += l.MultiplyAdds
			for _, in := range l.Inputs {
				if !seen[in] {
					t.Errorf("%s: %s reads %s, which comes later or never", m.Name, l.Name, in)
				}
			}
			seen[l.Name] = true
		}
		if diff := cmp.Diff(m, sum); diff != "" {
			t.Errorf("%s (-listed +layers):\n%s", m.Name, diff)
		}
	}
	// Parameters by hand: 5×5·3·192+192 and so on.
	if all[0].Name != "nin" || all[0].Parameters != 966986 || all[0].MultiplyAdds != 222486528 {
		t.Errorf("%+v", all[0])
	}
	if _, stdout, _ := run(t, "", "models", "nin-bn"); !strings.Contains(stdout, "classifier.29  BatchNorm") {
		t.Errorf("the table of layers:\n%s", stdout)
	}
	if _, stdout, _ := run(t, "", "models", "vgg16", "--size", "32"); !strings.Contains(stdout, "features.28") ||
		!strings.Contains(stdout, "512×2×2") || !strings.Contains(stdout, "134301514") {
		t.Errorf("the table of layers at 32×32:\n%s", stdout)
	}
	for _, c := range [][2]string{{"alexnet --size 62", "63×63"}, {"alexnet --size 0", "--size 0"},
		{"--size 32", "name"}} {
		args := append([]string{"models"}, strings.Fields(c[0])...)
		if code, _, stderr := run(t, "", args...); code != exitUsage || !strings.Contains(stderr, c[1]) {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
	if code, _, stderr := run(t, "", "models", "nix"); code != exitUsage || !strings.Contains(stderr, "nin-imagenet") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
