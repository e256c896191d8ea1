package packed

import (
	"errors"
	"io"
	"os"
)

// opened is a file that is read where it can't be mapped.
type opened struct{ *os.File }

func (f opened) read(dst []byte, at int64) error {
	_, err := f.ReadAt(dst, at)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	}
	return err
}
