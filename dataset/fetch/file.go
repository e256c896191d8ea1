package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
)

// File is a published file: its name, size in bytes and hex SHA-256.
type File struct {
	Name   string
	Size   int64
	SHA256 string
}

// Sum returns a file's hex SHA-256 and its size.
func Sum(ctx context.Context, path string, progress func(int64)) (string, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return "", 0, err
	} else if !info.Mode().IsRegular() {
		return "", 0, errors.New("not a regular file")
	}
	h := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, Meter(ctx, f, progress), make([]byte, 1<<20))
	if err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(h.Sum(nil)), n, nil
}

// Meter is a reader that ends with its context and reports the bytes read.
func Meter(ctx context.Context, r io.Reader, report func(done int64)) io.Reader {
	return &meter{ctx: ctx, r: r, report: report}
}

type meter struct {
	ctx    context.Context
	r      io.Reader
	done   int64
	report func(done int64)
}

func (m *meter) Read(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(p)
	m.done += int64(n)
	if m.report != nil && n > 0 {
		m.report(m.done)
	}
	return n, err
}
