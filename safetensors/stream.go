package safetensors

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Stream is a tensor that is written piece by piece.
type Stream struct {
	Name  string
	DType string
	Shape []int
	Write func(w io.Writer) error // writes the elements, as many bytes as type and shape take
}

// WriteStream writes a file of tensors that need not be in memory, in their order, as Write does: an interruption, or
// an error of a tensor's own, leaves the old file or the new one, never a part.
func WriteStream(path string, metadata map[string]string, tensors []Stream) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing %s: %w", path, err)
		}
	}()
	list := make([]described, len(tensors))
	for i, t := range tensors {
		if problem := unknown(t.DType); problem != "" {
			return fmt.Errorf("tensor %q %s", t.Name, problem)
		}
		size, problem := byteSize(t.DType, t.Shape)
		if problem != "" {
			return fmt.Errorf("tensor %q %s", t.Name, problem)
		}
		list[i] = described{t.Name, t.DType, t.Shape, size}
	}
	head, err := header(metadata, list)
	if err != nil {
		return err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // a file reached by a link is replaced, the link stays
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // finds nothing once the file has its name
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err := w.Write(head); err != nil {
		return err
	}
	for i, t := range tensors {
		c := &counter{w: w}
		if err := t.Write(c); err != nil {
			return err
		}
		if c.n != int64(list[i].size) {
			return fmt.Errorf("tensor %q has %d bytes, but %s of shape %v takes %d", t.Name, c.n, t.DType, t.Shape,
				list[i].size)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil { // temporary files are private
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// A Layout is what a file's header says: its tensors without their data, and where these lie.
type Layout struct {
	Metadata map[string]string
	Tensors  []Place
}

// Place is where a tensor lies.
type Place struct {
	Tensor       // without Data
	Offset int64 // of its first byte in the file
	Bytes  int64
}

// Tensor looks a tensor up by name.
func (l *Layout) Tensor(name string) (Place, bool) {
	for _, t := range l.Tensors {
		if t.Name == name {
			return t, true
		}
	}
	return Place{}, false
}

// ReadLayout reads the header of a file of size bytes and checks it as Read does, but reads no tensor. What is wrong
// with the content is a *FormatError without a path.
func ReadLayout(r io.ReaderAt, size int64) (*Layout, error) {
	start := make([]byte, min(size, 8))
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, size), start); err != nil {
		return nil, err
	}
	n, err := headerLength(start, size)
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(r, 8, n), b); err != nil {
		return nil, err
	}
	f, entries, err := readHeader(b)
	if err != nil {
		return nil, err
	}
	if err := check(f, entries, size-8-n, 8+n); err != nil {
		return nil, err
	}
	l := &Layout{Metadata: f.Metadata}
	for i, t := range f.Tensors {
		l.Tensors = append(l.Tensors, Place{t, 8 + n + int64(entries[i].begin), int64(entries[i].end - entries[i].begin)})
	}
	return l, nil
}

// headerLength is that of the header of a file of size bytes which begins so.
func headerLength(start []byte, size int64) (int64, error) {
	if len(start) < 8 {
		return 0, &FormatError{Offset: size, Problem: fmt.Sprintf("the file has %d bytes, expected at least the 8 bytes of "+
			"the header's length", size)}
	}
	n := binary.LittleEndian.Uint64(start)
	if n > maxHeader {
		return 0, &FormatError{Problem: fmt.Sprintf("the header's length is %d bytes, at most %d are accepted", n,
			maxHeader)}
	}
	if int64(n) > size-8 {
		return 0, &FormatError{Problem: fmt.Sprintf("the header's length is %d bytes, but only %d follow (is the file "+
			"truncated?)", n, size-8)}
	}
	return int64(n), nil
}
