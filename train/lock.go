package train

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// LockFile is in a run folder while a process trains there. What counts is the operating system's lock on it, which a
// dead process does not hold.
const LockFile = "lock"

// LockedError says that another process trains in a run folder.
type LockedError struct {
	Dir string
	PID int // 0 where it is not known
}

func (e *LockedError) Error() string {
	who := "another process"
	if e.PID > 0 {
		who += fmt.Sprintf(" (pid %d)", e.PID)
	}
	return fmt.Sprintf("%s is training in %s; wait for it, stop it, or choose another folder", who, e.Dir)
}

// errHeld is tryLock's answer where another process holds the lock.
var errHeld = errors.New("the lock is held")

// noLocksError is tryLock's answer where the file system has no locks.
type noLocksError struct{ err error }

func (e *noLocksError) Error() string { return "the file system has no locks: " + e.err.Error() }

// folderLock is a held lock.
type folderLock struct{ f *os.File }

// lockFolder takes the lock of a run folder, or says who has it.
func lockFolder(dir string) (*folderLock, error) {
	path := filepath.Join(dir, LockFile)
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		err = tryLock(f)
		if none := (*noLocksError)(nil); errors.As(err, &none) {
			warnOnce(fmt.Sprintf("%s: the file system has no locks (%v), so nothing keeps a second process from training in "+
				"this folder; training goes on", dir, none.err))
		} else if err != nil {
			f.Close()
			if !errors.Is(err, errHeld) {
				return nil, fmt.Errorf("locking %s: %w", path, err)
			}
			text, _ := os.ReadFile(path) // the pid only makes the message better
			pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
			return nil, &LockedError{dir, pid}
		}
		// The holder before may have removed the file between opening and locking it: then it is no longer what others will
		// lock.
		mine, err := f.Stat()
		if there, e := os.Stat(path); err != nil || e != nil || !os.SameFile(mine, there) {
			f.Close()
			continue
		}
		if err := f.Truncate(0); err == nil {
			// only for the message; a full disk must not keep a run from being resumed
			_, _ = f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
		}
		return &folderLock{f}, nil
	}
}

// release gives the lock up. Releasing twice is harmless.
func (l *folderLock) release() {
	if l == nil || l.f == nil {
		return
	}
	_ = os.Remove(l.f.Name()) // tidy; a file that stays is not locked
	l.f.Close()
	l.f = nil
}

// warned has the warnings that this process gave, each of which it gives once.
var warned sync.Map

func warnOnce(message string) {
	if _, before := warned.LoadOrStore(message, true); !before {
		slog.Warn(message)
	}
}

// lockHeld says whether another process holds the lock of a run folder, without leaving a trace. Where the file system
// has no locks nobody can tell, and the answer is no.
func lockHeld(dir string) (bool, error) {
	f, err := os.OpenFile(filepath.Join(dir, LockFile), os.O_RDWR, 0) // NFS locks only what is open for writing
	if errors.Is(err, fs.ErrPermission) {
		f, err = os.Open(filepath.Join(dir, LockFile))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close() // which gives the lock up, if it was free
	err = tryLock(f)
	if errors.Is(err, errHeld) {
		return true, nil
	}
	if none := (*noLocksError)(nil); errors.As(err, &none) {
		warnOnce(fmt.Sprintf("%s: the file system has no locks (%v), so whether a process is training there can't be told",
			dir, none.err))
		return false, nil
	}
	return false, err
}
