package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/moby/sys/atomicwriter"

	"ninvk/dataset"
)

// Bounds on what is unpacked.
const (
	mostEntries = 20_000_000
	// An archive of images or arrays is hardly smaller than they are; only what is far beyond that, and
	// large, is taken for one that is made to fill disks.
	mostRatio = 200
	reserve   = 256 << 20 // bytes of the disk that are left
)

var smallest int64 = 256 << 20 // bytes that any archive may have; a test has less

// unpacker writes the entries of an archive into a folder, and nothing outside it.
type unpacker struct {
	archive string
	root    *os.Root
	made    map[string]bool // by names with slashes: folders (true) and files
	links   []string
	most    int64 // bytes that may be written
	written int64
	checked int64 // bytes written when the free disk was last looked at
	time    time.Time
	passed  []string
}

// record tells of a folder of an archive, beside it, when it is whole.
type record struct {
	Archive string `json:"archive"`
	Files   int    `json:"files"`
	Bytes   int64  `json:"bytes"`
}

// unpacked is the folder that has the content of an archive: unpacked now, or before, as long as the archive has the
// same place, size and time.
func unpacked(name string, progress func(string, int, int)) (dir string, notes []string, err error) {
	dir, notes, err = unpackOnce(name, progress)
	if err != nil && !errors.As(err, new(*dataset.FileError)) {
		err = &dataset.FileError{Path: name, Offset: -1, Problem: "cannot be unpacked: " + dataset.Cause(err),
			Hint: "unpack it by hand and give the folder", Err: err}
	}
	if err != nil {
		return "", nil, err
	}
	return dir, notes, nil
}

func unpackOnce(name string, progress func(string, int, int)) (dir string, notes []string, err error) {
	full, err := filepath.Abs(name)
	if err != nil {
		return "", nil, err
	}
	info, err := os.Stat(name)
	if err != nil {
		return "", nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", nil, err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %d %d", full, info.Size(), info.ModTime().UnixNano()))
	parent := filepath.Join(cache, "ninvk", "archives")
	dir = filepath.Join(parent, hex.EncodeToString(sum[:12]))
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", nil, err
	}
	lock := flock.New(dir + ".lock") // for others that unpack the same
	if err := lock.Lock(); err != nil {
		return "", nil, err
	}
	defer lock.Close() // which unlocks it
	if whole(dir) {
		return dir, []string{"it was unpacked before, into " + dir}, nil
	}
	for _, old := range []string{dir, dir + ".part"} { // what an interrupted one left
		if err := os.RemoveAll(old); err != nil {
			return "", nil, err
		}
	}
	u := &unpacker{archive: name, made: map[string]bool{}, time: info.ModTime(),
		most: max(smallest, mostRatio*info.Size())}
	bytes, err := u.unpackTo(dir, full, progress)
	if err != nil {
		return "", nil, err
	}
	notes = []string{fmt.Sprintf("unpacked into %s (%d MB)", dir, bytes/1e6)}
	if n := len(u.passed); n > 0 {
		notes = append(notes, fmt.Sprintf("entries passed over in unpacking, %d: %s", n, dataset.FirstOf(u.passed, 5)))
	}
	return dir, notes, nil
}

// unpackTo makes the folder dir and the record beside it, which tells of the archive by its full name. The folder gets
// its name when it is whole.
func (u *unpacker) unpackTo(dir, full string, progress func(string, int, int)) (bytes int64, err error) {
	part := dir + ".part"
	if err := os.Mkdir(part, 0o700); err != nil {
		return 0, err
	}
	defer os.RemoveAll(part)
	if u.root, err = os.OpenRoot(part); err != nil {
		return 0, err
	}
	defer u.root.Close()
	if err := u.all(progress); err != nil {
		return 0, err
	}
	if err := u.settleLinks(part); err != nil {
		return 0, err
	}
	u.root.Close() // Windows renames no open folder
	files, bytes := content(part)
	b, err := json.Marshal(record{full, files, bytes})
	if err == nil {
		err = atomicwriter.WriteFile(dir+".json", b, 0o600)
	}
	if err == nil {
		err = os.Rename(part, dir)
	}
	return bytes, err
}

// whole says whether a folder has all that was unpacked into it.
func whole(dir string) bool {
	b, err := os.ReadFile(dir + ".json")
	if err != nil {
		return false
	}
	var r record
	if json.Unmarshal(b, &r) != nil {
		return false
	}
	files, bytes := content(dir)
	return r.Files == files && r.Bytes == bytes
}

// content counts the files of a folder, links among them, and their bytes; -1 where it can't be read.
func content(dir string) (files int, bytes int64) {
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files++
		if info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	if err != nil {
		return -1, -1
	}
	return files, bytes
}

// name is that of an entry as a path within the folder; an entry outside it is an error, the folder itself is "".
func (u *unpacker) name(of string) (string, error) {
	clean := path.Clean(of)
	if path.IsAbs(of) || !filepath.IsLocal(filepath.FromSlash(clean)) || strings.ContainsRune(of, 0) {
		return "", refused(u.archive, "unpack it by hand, with care, and give the folder",
			"its entry %q would be written outside the folder that it is unpacked into; nothing is unpacked", of)
	}
	if clean == "." {
		return "", nil
	}
	return clean, nil
}

// folder makes a folder and those above it.
func (u *unpacker) folder(name string) error {
	if name == "." || name == "" || u.made[name] {
		return nil
	}
	if err := u.folder(path.Dir(name)); err != nil {
		return err
	}
	if _, taken := u.made[name]; taken {
		return refused(u.archive, "", "%q is a file and a folder in it", name)
	}
	err := u.root.Mkdir(filepath.FromSlash(name), 0o700)
	if errors.Is(err, fs.ErrExist) {
		return u.alike(name)
	}
	u.made[name] = true
	return err
}

// alike is the error about a name that the file system does not tell from another one.
func (u *unpacker) alike(name string) error {
	return refused(u.archive, "unpack it elsewhere and give the folder",
		"the name %q differs from another one in capital letters or accents alone, which "+
			"this file system does not tell apart",
		name)
}

// file writes a file. Of several entries with one name the last one counts, as to tar.
func (u *unpacker) file(name string, from io.Reader) error {
	if err := u.folder(path.Dir(name)); err != nil {
		return err
	}
	local := filepath.FromSlash(name)
	if isFolder, taken := u.made[name]; taken {
		if isFolder {
			return refused(u.archive, "", "%q is a file and a folder in it", name)
		}
		u.passed = append(u.passed, fmt.Sprintf("%q but the last of that name", name))
		if err := u.root.Remove(local); err != nil {
			return err
		}
	}
	if len(u.made) >= mostEntries {
		return refused(u.archive, "", "it has more than %d entries", mostEntries)
	}
	f, err := u.root.OpenFile(local, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return u.alike(name)
	}
	if err != nil {
		return err
	}
	u.made[name] = false
	_, err = io.Copy(&bounded{u, f}, from)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return u.root.Chtimes(local, u.time, u.time)
}

// bounded is a file whose bytes count.
type bounded struct {
	*unpacker
	file *os.File
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.written += int64(len(p)); b.written > b.most {
		return 0, refused(b.archive, "unpack it by hand if it can be trusted, and give the folder",
			"it would become more than %d MB, %d times its size: it looks like one that is made to fill disks",
			b.most/1e6, mostRatio)
	}
	const look = 64 << 20 // bytes
	if b.checked == 0 || b.written-b.checked > look {
		b.checked = b.written
		if free, err := freeDisk(b.root.Name()); err == nil && free < reserve+look {
			return 0, refused(b.archive, "make room, or unpack it on another disk and give the folder",
				"the disk of %s has %d MB left, too little to unpack it", filepath.Dir(b.root.Name()), free/1e6)
		}
	}
	return b.file.Write(p)
}

// link makes a link to what is within the folder; others are passed over.
func (u *unpacker) link(name, to string) error {
	within := path.Join(path.Dir(name), to)
	if path.IsAbs(to) || filepath.IsAbs(to) || !filepath.IsLocal(filepath.FromSlash(within)) {
		u.passed = append(u.passed, fmt.Sprintf("%q, a link to the outside", name))
		return nil
	}
	if _, taken := u.made[name]; taken {
		u.passed = append(u.passed, fmt.Sprintf("%q, a link with the name of another entry", name))
		return nil
	}
	if err := u.folder(path.Dir(name)); err != nil {
		return err
	}
	if err := u.root.Symlink(filepath.FromSlash(to), filepath.FromSlash(name)); err != nil {
		u.passed = append(u.passed, fmt.Sprintf("%q, a link that can't be made here", name))
		return nil
	}
	u.made[name] = false
	u.links = append(u.links, name)
	return nil
}

// copyOf makes a file with the bytes of an earlier one, which a tar names as a hard link.
func (u *unpacker) copyOf(name, earlier string) error {
	earlier, err := u.name(earlier)
	if err != nil {
		u.passed = append(u.passed, fmt.Sprintf("%q, a link to the outside", name))
		return nil
	}
	f, err := u.root.Open(filepath.FromSlash(earlier))
	if err != nil || name == earlier {
		u.passed = append(u.passed, fmt.Sprintf("%q, a link to what is not before it", name))
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		u.passed = append(u.passed, fmt.Sprintf("%q, a link to what is no file", name))
		return nil
	}
	return u.file(name, f)
}

// settleLinks takes away links that lead nowhere, or, by others, outside the folder.
func (u *unpacker) settleLinks(dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	for _, name := range u.links {
		full := filepath.Join(dir, filepath.FromSlash(name))
		to, err := filepath.EvalSymlinks(full)
		if err == nil {
			if within, e := filepath.Rel(real, to); e == nil && filepath.IsLocal(within) {
				continue
			}
		}
		u.passed = append(u.passed, fmt.Sprintf("%q, a link to nowhere or the outside", name))
		if err := u.root.Remove(filepath.FromSlash(name)); err != nil {
			return err
		}
	}
	return nil
}
