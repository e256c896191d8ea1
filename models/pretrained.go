package models

import "slices"

// EmbeddedNames name the weights that are part of the program, each by its network; the first are those that are taken
// where none are named. They were trained on CIFAR-10. Beside each file of pretrained lies what `ninvk eval --json`
// tells about it on CIFAR-10's test split; tests hold both together, and the documentation's claims to them.
var EmbeddedNames = []string{"nin-bn", "resnet20"}

// Embedded is what names the first of the embedded weights in place of a file.
const Embedded = "embedded"

// EmbeddedFile is the file that holds embedded weights, in pretrained, and where the program runs in a browser beside
// the page.
func EmbeddedFile(name string) string { return name + "-cifar10.safetensors" }

// embeddedName is the name of the embedded weights that a path stands for, "" where it is a file's.
func embeddedName(path string) string {
	switch {
	case path == Embedded:
		return EmbeddedNames[0]
	case slices.Contains(EmbeddedNames, path):
		return path
	}
	return ""
}

// EmbeddedPath stands for embedded weights in messages.
func EmbeddedPath(name string) string { return "embedded " + EmbeddedFile(name) }
