//go:build unix

package train

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// warnings collects what is logged during the test.
func warnings(t *testing.T) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	was := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
	warned.Clear()
	t.Cleanup(func() { slog.SetDefault(was); warned.Clear() })
	return &b
}

// Some network and FUSE file systems have no locks, or can't sync folders: a run begins, goes on and ends there all the
// same, with one warning of each.
func TestPoorFileSystem(t *testing.T) {
	wasFlock, wasSync := flock, syncFolder
	defer func() { flock, syncFolder = wasFlock, wasSync }()
	for _, c := range []struct {
		lock, sync error
		warns      int
	}{
		{nil, nil, 0},
		{unix.ENOSYS, nil, 1}, {unix.ENOLCK, nil, 1}, {unix.EOPNOTSUPP, nil, 1}, {unix.ENOTSUP, nil, 1},
		{nil, unix.EINVAL, 1}, {nil, unix.ENOTSUP, 1}, {nil, unix.EOPNOTSUPP, 1}, {nil, unix.ENOSYS, 1},
		{unix.ENOLCK, unix.EINVAL, 2},
	} {
		said := warnings(t)
		flock, syncFolder = wasFlock, wasSync
		if c.lock != nil {
			flock = func(int, int) error { return c.lock }
		}
		if c.sync != nil {
			syncFolder = func(f *os.File) error { return &os.PathError{Op: "sync", Path: f.Name(), Err: c.sync} }
		}
		dir := filepath.Join(t.TempDir(), "runs", "run")
		r, err := newRun(osDisk{}, dir, defaults())
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		for range 2 {
			if err := r.writeFile(ModelFile, []byte("weights")); err != nil {
				t.Errorf("%+v: %v", c, err)
			}
		}
		if err := r.Close(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		for range 2 {
			l, err := lockFolder(dir)
			if err != nil {
				t.Errorf("%+v: locking again: %v", c, err)
			}
			l.release()
		}
		if n := strings.Count(said.String(), "level=WARN"); n != c.warns {
			t.Errorf("%+v: %d warnings, want %d:\n%s", c, n, c.warns, said)
		}
	}
}

// Without locks nobody knows whether a process trains in a folder, and the answer is said to be unsure.
func TestHeldWithoutLocks(t *testing.T) {
	said := warnings(t)
	defer func(was func(int, int) error) { flock = was }(flock)
	flock = func(int, int) error { return unix.ENOLCK }
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, LockFile), []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if held, err := lockHeld(dir); held || err != nil {
			t.Errorf("held %v, error %v", held, err)
		}
	}
	if text := said.String(); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "can't be told") ||
		!strings.Contains(text, unix.ENOLCK.Error()) {
		t.Errorf("warnings:\n%s", text)
	}
}

// An error that says something else stays one: a lock that is broken, a disk that fails.
func TestOtherFileSystemErrors(t *testing.T) {
	wasFlock, wasSync := flock, syncFolder
	defer func() { flock, syncFolder = wasFlock, wasSync }()
	flock = func(int, int) error { return unix.EIO }
	if _, err := lockFolder(t.TempDir()); !errors.Is(err, unix.EIO) {
		t.Errorf("locking: %v, want %v", err, unix.EIO)
	}
	syncFolder = func(*os.File) error { return unix.EIO }
	if err := (osDisk{}).SyncDir(t.TempDir()); !errors.Is(err, unix.EIO) {
		t.Errorf("syncing a folder: %v, want %v", err, unix.EIO)
	}
}
