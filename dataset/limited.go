package dataset

import (
	"fmt"
	"io"
)

// ReadLimited reads all of r, or fails where it holds more than limit bytes.
func ReadLimited(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("it holds more than %d bytes", limit)
	}
	return data, err
}
