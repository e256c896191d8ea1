package fetch

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Install makes the folder out, which must not be there or be empty: fill writes its files into a temporary folder
// beside it, which then gets its name. Where fill fails, or ctx ends, nothing is left.
func Install(ctx context.Context, out string, fill func(dir string) error) error {
	parent := filepath.Dir(out)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(parent, "."+filepath.Base(out)+".tmp-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) // finds nothing once the folder has its name
	if err := fill(tmp); err != nil {
		return err
	}
	if err := syncAll(tmp); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil { // temporary folders are private
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Remove(out); err != nil && !errors.Is(err, fs.ErrNotExist) { // empty, or it would be an error above
		return err
	}
	if err := os.Rename(tmp, out); err != nil {
		return err
	}
	syncDir(parent)
	return nil
}

// syncAll brings the files of a folder, and the folder, to the disk.
func syncAll(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		f, err := os.OpenFile(filepath.Join(dir, e.Name()), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		err = f.Sync()
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	syncDir(dir)
	return nil
}

// syncDir brings a folder's list of names to the disk, where the system can.
func syncDir(dir string) {
	if f, err := os.Open(dir); err == nil {
		_ = f.Sync() // some systems can't
		f.Close()
	}
}
