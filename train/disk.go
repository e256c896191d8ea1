package train

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// disk is what a run folder needs of the operating system. Tests put one that fails in its place.
type disk interface {
	Create(path string) (diskFile, error)             // a new file, or an old one emptied
	Append(path string, size int64) (diskFile, error) // an old file cut to size bytes, for writing at its end
	Rename(from, to string) error
	Remove(path string) error
	SyncDir(dir string) error
}

type diskFile interface {
	io.WriteCloser
	Truncate(size int64) error
	Sync() error
}

// osDisk is the real one.
type osDisk struct{}

// osFile goes on at its end after it was cut. Windows opens no file both for cutting and for appending (O_APPEND), and
// nobody else writes to it.
type osFile struct{ *os.File }

func (f osFile) Truncate(size int64) error {
	if err := f.File.Truncate(size); err != nil {
		return err
	}
	_, err := f.Seek(size, io.SeekStart)
	return err
}

func (osDisk) Create(path string) (diskFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) Append(path string, size int64) (diskFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	file := osFile{f}
	if err := file.Truncate(size); err != nil {
		f.Close()
		return nil, err
	}
	return file, nil
}

func (osDisk) Rename(from, to string) error { return os.Rename(from, to) }
func (osDisk) Remove(path string) error     { return os.Remove(path) }

// SyncDir makes the names in a folder survive a loss of power. Windows keeps them without being asked; of a file system
// that can't, a warning is given.
func (osDisk) SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return canSync(syncFolder(d))
}

// syncFolder is the system's; tests put one in its place that answers as some file systems do.
var syncFolder = (*os.File).Sync

// canSync is err but where it says that a file system does not sync folders (fsync gives EINVAL, or is not supported):
// then a warning is given, once.
func canSync(err error) error {
	if !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		err = p.Err // a folder's name would make it another warning
	}
	warnOnce(fmt.Sprintf("the file system does not sync folders (%v): after a loss of power the newest checkpoint may be "+
		"missing, and the one before is there; training goes on", err))
	return nil
}

// temporary ends the names of files being written. There is one of each at most, as there is one process in a run
// folder: a later one takes the place of what a killed process left.
const temporary = ".tmp"

// writeWhole writes a whole file or none: to a temporary name, synced, renamed, and the folder synced. Until then the
// file of that name stays what it was.
func writeWhole(d disk, path string, b []byte) error {
	err := func() error {
		f, err := d.Create(path + temporary)
		if err != nil {
			return err
		}
		n, err := f.Write(b)
		if err == nil && n < len(b) {
			err = io.ErrShortWrite
		}
		if err == nil {
			err = f.Sync()
		}
		if e := f.Close(); err == nil {
			err = e
		}
		if err == nil {
			err = d.Rename(path+temporary, path)
		}
		if err != nil {
			d.Remove(path + temporary) // makes room where the disk is full
			return err
		}
		return d.SyncDir(filepath.Dir(path))
	}()
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
