package folder

import (
	"bytes"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// index is what is known of a folder's files from an earlier time, in the user's cache directory.
type index struct {
	file string
	rows map[string]facts // by path
}

const (
	// indexVersion grows with every change of what look finds in the same file.
	indexVersion = 1
	// youngest is how long ago a file must have changed for what is known of it to be kept: another change may follow in
	// the same tick of the file system's clock.
	youngest = 3 * time.Second
	// mostIndex is far beyond the files that there may be.
	mostIndex = 1 << 30
)

// indexFile is the index as it is stored, after the SHA-256 of its bytes.
type indexFile struct {
	Version int
	Rows    map[string]facts
}

// openIndex reads what is known of the files in a folder: nothing where there is no index, or one that is damaged or of
// another version.
func openIndex(root string) *index {
	x := &index{rows: map[string]facts{}}
	dir, err := os.UserCacheDir()
	if err != nil {
		return x
	}
	if full, err := filepath.Abs(root); err == nil {
		root = full
	}
	sum := sha256.Sum256([]byte(root))
	x.file = filepath.Join(dir, "ninvk", "images", hex.EncodeToString(sum[:16])+".index")
	info, err := os.Stat(x.file)
	if err != nil || !info.Mode().IsRegular() || info.Size() > mostIndex {
		return x
	}
	if b, err := os.ReadFile(x.file); err == nil {
		x.rows = parseIndex(b)
	}
	return x
}

func parseIndex(b []byte) map[string]facts {
	none := map[string]facts{}
	if len(b) < sha256.Size || sha256.Sum256(b[sha256.Size:]) != [sha256.Size]byte(b) {
		return none
	}
	var f indexFile
	if err := gob.NewDecoder(bytes.NewReader(b[sha256.Size:])).Decode(&f); err != nil || f.Version != indexVersion ||
		f.Rows == nil {
		return none
	}
	return f.Rows
}

// of is what is known of a file, if it has not changed since.
func (x *index) of(path, name string) (facts, bool) {
	f, ok := x.rows[path]
	if !ok {
		return f, false
	}
	info, err := os.Stat(name)
	return f, err == nil && info.Mode().IsRegular() && info.Size() == f.Size && info.ModTime().UnixNano() == f.Time
}

// save keeps what is known now in the place of what was.
func (x *index) save(rows map[string]facts) error {
	if x.file == "" {
		return nil // a user without a cache directory
	}
	var b bytes.Buffer
	b.Write(make([]byte, sha256.Size))
	if err := gob.NewEncoder(&b).Encode(indexFile{indexVersion, rows}); err != nil {
		return err
	}
	sum := sha256.Sum256(b.Bytes()[sha256.Size:])
	copy(b.Bytes(), sum[:])
	if err := os.MkdirAll(filepath.Dir(x.file), 0o700); err != nil {
		return err
	}
	// As a whole, or not at all; what a crash of the machine leaves of it, the sum tells.
	f, err := os.CreateTemp(filepath.Dir(x.file), "*.part")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // it is gone where all went well
	_, err = f.Write(b.Bytes())
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), x.file)
}
