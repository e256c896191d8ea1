package main

import (
	"os"
	"path/filepath"
	"strings"

	"ninvk/train"
)

// checkOutput says what is wrong with the name of a file to be written, before anything is computed for it: that its
// folder is not there, or that it is a folder itself.
func checkOutput(flag, path string) error {
	problem := ""
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		problem = "there is no folder " + shown(filepath.Dir(path))
	} else if info, err := os.Stat(path); err == nil && info.IsDir() {
		problem = "is a folder; name a file"
	}
	if problem != "" {
		return &train.UsageError{Flag: flag, Value: shown(path), Problem: problem}
	}
	return nil
}

// checkPicture is checkOutput for a picture.
func checkPicture(flag, path string) error {
	if !isPNG(path) {
		return &train.UsageError{Flag: flag, Value: shown(path),
			Problem: "the picture is a PNG: name a file that ends in .png"}
	}
	return checkOutput(flag, path)
}

func isPNG(path string) bool { return strings.EqualFold(filepath.Ext(path), ".png") }
