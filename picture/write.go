package picture

import (
	"bytes"
	"fmt"
	"image"
	"image/png"

	"github.com/moby/sys/atomicwriter"
)

// WritePNG writes a picture as a whole: the file is the old one or the new one, never a part.
func WritePNG(path string, img image.Image) error {
	var b bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	err := encoder.Encode(&b, img)
	if err == nil {
		err = atomicwriter.WriteFile(path, b.Bytes(), 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
