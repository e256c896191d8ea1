package train

import (
	"fmt"
	"io"
)

// flushBytes is how much of metrics.jsonl stays in memory at most, and of an event file.
const flushBytes = 1 << 16

// appended is a file that grows at its end by portions, each of them whole or not there.
type appended struct {
	path    string
	file    diskFile // nil where it is not open
	size    int64    // bytes in the file, all whole portions
	pending []byte   // portions still to be written
}

// flush writes the portions still in memory. Where that fails, the file is cut back to what it was.
func (a *appended) flush() error {
	if len(a.pending) == 0 {
		return nil
	}
	n, err := a.file.Write(a.pending)
	if err == nil && n < len(a.pending) {
		err = io.ErrShortWrite
	}
	if err != nil {
		_ = a.file.Truncate(a.size)
		return a.wrap(err)
	}
	a.size += int64(n)
	a.pending = a.pending[:0]
	return nil
}

// end is the size of the file once everything written is in it.
func (a *appended) end() int64 { return a.size + int64(len(a.pending)) }

// close closes the file if it is open, with what was flushed on the disk.
func (a *appended) close() error {
	if a.file == nil {
		return nil
	}
	err := a.file.Sync()
	if e := a.file.Close(); err == nil {
		err = e
	}
	a.file = nil
	return a.wrap(err)
}

func (a *appended) wrap(err error) error {
	if err != nil {
		return fmt.Errorf("writing %s: %w", a.path, err)
	}
	return nil
}
