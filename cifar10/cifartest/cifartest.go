// Package cifartest makes small files in the format of CIFAR-10 for tests.
package cifartest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ninvk/dataset"
)

const imageBytes = 3 * 32 * 32

// Records makes n records; their labels count up from label, and every byte
// of an image depends on its place and on seed.
func Records(n, label, seed int) []byte {
	b := make([]byte, 0, n*(1+imageBytes))
	for i := range n {
		b = append(b, byte((label+i)%10))
		for j := range imageBytes {
			b = append(b, byte(uint32(seed*100000+i*imageBytes+j)*2654435761>>24))
		}
	}
	return b
}

// HexSum is the SHA-256 of the parts together.
func HexSum(parts ...[]byte) string {
	sum := sha256.Sum256(bytes.Join(parts, nil))
	return hex.EncodeToString(sum[:])
}

// WriteFiles writes files into a folder.
func WriteFiles(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// CheckFileError checks that err is a *dataset.FileError about the path, at the offset, and says the given words.
func CheckFileError(t testing.TB, err error, path string, offset int64, words ...string) {
	t.Helper()
	var e *dataset.FileError
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), expected a *dataset.FileError", err, err)
	}
	if filepath.Base(e.Path) != path || e.Offset != offset {
		t.Errorf("error about %s at %d, expected %s at %d", e.Path, e.Offset, path, offset)
	}
	for _, w := range append(words, e.Path) {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q lacks %q", err, w)
		}
	}
}
