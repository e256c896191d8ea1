// Package images is a test image of each class of CIFAR-10, to try a network with. It is the first of each.
package images

import "embed"

// Files are the images as PNG files, each named by its class.
//
//go:embed *.png
var Files embed.FS
