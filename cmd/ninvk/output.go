package main

import (
	"context"
	"os"
	"path/filepath"

	"ninvk/train"
)

// checkOutput says what is wrong with the name of a file to be written, before anything is computed for it.
func checkOutput(flag, path string) error {
	problem := ""
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		problem = "is a folder; name a file"
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		problem = "there is no folder " + filepath.Dir(path)
	}
	if problem == "" {
		return nil
	}
	return &train.UsageError{Flag: flag, Value: path, Problem: problem}
}

// unlessInterrupted does work that leaves nothing behind when it is given up, and gives it up when ctx ends, whatever
// it waits for.
func unlessInterrupted(ctx context.Context, work func() error) error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	select {
	case err := <-done:
		if ctx.Err() == nil {
			return err
		}
	case <-ctx.Done():
	}
	return &interrupted{"interrupted; nothing was written"}
}
