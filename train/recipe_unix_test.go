//go:build unix

package train

import (
	"fmt"
	"os"
	"testing"
)

// A configuration may come through a pipe, which can be read once.
func TestLoadConfigFromPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("recipe = \"fast\"\nepochs = 17\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	c, err := LoadConfig("", fmt.Sprintf("/dev/fd/%d", r.Fd()), "")
	if err != nil || c.Recipe != "fast" || c.Epochs != 17 || c.Model != "nin-bn" {
		t.Errorf("recipe %s, %d epochs of %s, error %v; want fast, 17 epochs of nin-bn", c.Recipe, c.Epochs, c.Model, err)
	}
}
