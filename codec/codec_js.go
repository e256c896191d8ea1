package codec

import "image"

// A page has its browser decode images and is given their pixels; the modules would be a megabyte to download.
func leftOut([]byte, Size) (image.Image, error) {
	return nil, &Error{"images of this kind are decoded by the browser", Unsupported}
}

func JPEG(data []byte, size Size) (image.Image, error) { return leftOut(data, size) }
func WebP(data []byte, size Size) (image.Image, error) { return leftOut(data, size) }
func HEIC(data []byte, size Size) (image.Image, error) { return leftOut(data, size) }
func AVIF(data []byte, size Size) (image.Image, error) { return leftOut(data, size) }
