package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestWarningsAreSentences(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(newMessages(&out, slog.LevelInfo))
	log.Debug("not asked for")
	log.Info("a detail", "bytes", 5)
	log.Warn("the loss stays where it is", "step", 7, "adapter", "llvmpipe")
	log.Warn("going back")
	log.Error("no way on")
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 4 || !strings.HasSuffix(lines[0], `level=INFO msg="a detail" bytes=5`) {
		t.Fatalf("%q", lines)
	}
	for i, want := range []string{"ninvk: warning: the loss stays where it is (step: 7, adapter: llvmpipe)",
		"ninvk: warning: going back", "ninvk: error: no way on"} {
		if lines[i+1] != want {
			t.Errorf("%q, want %q", lines[i+1], want)
		}
	}
}
