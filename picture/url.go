package picture

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/png"
)

// DataURL is an image as a PNG in a URL, for a web page.
func DataURL(img image.Image) string {
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err) // memory takes everything
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())
}

// mostPixels is the longer side of a sample on a page at most: twice what it is shown at.
const mostPixels = 192

// SampleURL is DataURL of an image that a page shows as one of many: a larger one is shrunk, a smaller one is enlarged
// by the browser.
func SampleURL(img image.Image) string {
	if size := img.Bounds().Size(); max(size.X, size.Y) > mostPixels {
		img = Thumbnail(img, mostPixels)
	}
	return DataURL(img)
}
