package gpu

import (
	"testing"
	"time"
)

// A kernel is compiled by one at a time; others may be compiled meanwhile.
func TestClaim(t *testing.T) {
	folder := t.TempDir()
	const one, other = "0123456789abcdef", "123456789abcdef0"
	release, ok := claim(folder, one, false)
	if !ok {
		t.Fatal("a kernel that nobody compiles can't be claimed")
	}
	if _, ok := claim(folder, one, false); ok {
		t.Error("a kernel was claimed twice")
	}
	if free, ok := claim(folder, other, false); !ok {
		t.Error("another kernel can't be claimed")
	} else {
		free()
	}
	claimed := make(chan struct{})
	go func() {
		free, _ := claim(folder, one, true)
		close(claimed)
		free()
	}()
	select {
	case <-claimed:
		t.Error("who waits for a kernel has it before it is released")
	case <-time.After(50 * time.Millisecond):
	}
	release()
	select {
	case <-claimed:
	case <-time.After(10 * time.Second):
		t.Error("a released kernel can't be claimed")
	}
}
