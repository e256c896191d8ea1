package cifar10

import (
	"bytes"
	"testing"
)

// largePages takes memory of any size and place, and leaves its content.
func TestLargePages(t *testing.T) {
	all := bytes.Repeat([]byte("ninvk"), 3<<20)
	for _, part := range [][2]int{{0, 0}, {0, 1}, {1, 4<<20 - 1}, {1, 4 << 20}, {4095, len(all)}, {0, len(all)}} {
		largePages(all[part[0]:part[1]])
	}
	if !bytes.Equal(all, bytes.Repeat([]byte("ninvk"), 3<<20)) {
		t.Error("the content changed")
	}
}
