// Package images is a test image of each class of CIFAR-10, the first of each, to try a network with.
package images

import "embed"

// Files are the images as PNG files, each named by its class.
//
//go:embed *.png
var Files embed.FS
