// Package cifar10 obtains, checks and decodes CIFAR-10 in its binary version,
// holds a small sample of it, and draws the order and the augmentation
// parameters of training batches.
//
// A file of the binary version is a sequence of records without header or
// separator: one byte of label, then the image as three planes (red, green,
// blue) of 32×32 bytes, each row by row.
package cifar10

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Sizes of an image, in pixels, and of its parts, in bytes.
const (
	Width    = 32
	Height   = 32
	Channels = 3
	Classes  = 10

	ImageBytes  = Channels * Height * Width // an image, CHW
	RecordBytes = 1 + ImageBytes            // a label and its image
)

// ClassNames are the names of CIFAR-10's classes, by label.
var ClassNames = [Classes]string{
	"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
}

// A Split is one part of a data set: image i is
// Images[i*ImageBytes:(i+1)*ImageBytes], in CHW layout, its class Labels[i],
// an index into the data set's Classes.
type Split struct {
	Images []byte // [n, 3, 32, 32], 0 to 255
	Labels []byte // [n]
}

// Len is the number of images.
func (s Split) Len() int { return len(s.Labels) }

// A Dataset is a training and a test split, neither of them empty.
type Dataset struct {
	Name   string // "sample", or the folder it was read from
	Train  Split
	Test   Split
	SHA256 string // hex, over all records: training files in order, then test

	Classes []string // names, by label; at least two
	Named   bool     // the data set has names for its classes, so that they are not merely assumed
}

// A FileError says what is wrong with an input file or folder, where, and what
// to do about it.
type FileError struct {
	Path    string
	Offset  int64  // byte in the file; -1 where the problem has no place
	Problem string // what was found and what was expected
	Hint    string // what to do next; may be empty
	Err     error  // the cause, for errors.Is; may be nil
}

// Error is one line: path, offset, problem, hint.
func (e *FileError) Error() string {
	var b strings.Builder
	b.WriteString(e.Path)
	if e.Offset >= 0 {
		fmt.Fprintf(&b, ", byte %d", e.Offset)
	}
	b.WriteString(": " + e.Problem)
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

const (
	fetchHint  = "`ninvk data fetch` obtains CIFAR-10"
	filesHint  = "data_batch_*.bin and " + testName + " are expected in it; " + fetchHint
	formatHint = "CIFAR-10's binary version is expected: records of 3073 bytes, a label and 3072 bytes of image; `ninvk data verify` checks the published files"

	labelHint = "as many classes as " + ClassesFile + " in the folder names are expected, without it CIFAR-10's ten; " +
		"" + formatHint

	testName   = "test_batch.bin"
	nestedName = "cifar-10-batches-bin" // the folder in the official archive
)

// Open reads a folder of CIFAR-10 binary files: every data_batch_*.bin, in
// numeric order, is training data, test_batch.bin the test split. The files may
// also lie in a folder cifar-10-batches-bin inside dir. Each may hold any
// number of records but none. Errors about what the folder holds are of type
// *FileError.
//
// batches.meta.txt names the classes, one a line; in a folder without it they
// are CIFAR-10's.
func Open(dir string) (*Dataset, error) {
	train, test, err := locate(dir)
	if err != nil {
		return nil, err
	}
	sum := newSum()
	defer sum.end()
	d := &Dataset{Name: filepath.Clean(dir)}
	if d.Classes, d.Named, err = classesOf(filepath.Dir(test)); err != nil {
		return nil, err
	}
	if d.Train, err = readSplit(train, d.Classes, sum); err != nil {
		return nil, err
	}
	if d.Test, err = readSplit([]string{test}, d.Classes, sum); err != nil {
		return nil, err
	}
	d.SHA256 = sum.end()
	d.Named = d.Named || d.SHA256 == officialSHA256
	return d, nil
}

// runningSum is the SHA-256 of blocks of bytes, taken of one while the next is read: either takes as long.
type runningSum struct {
	free, blocks chan []byte   // memory to read a block into, and the blocks in order
	end          func() string // hex; no more blocks can be added
}

// blockRecords are read at a time, few enough to stay in the processor's caches until they are decoded and hashed.
const blockRecords = 512

func newSum() runningSum {
	free, blocks, result := make(chan []byte, 2), make(chan []byte), make(chan string, 1)
	for range cap(free) {
		free <- make([]byte, blockRecords*RecordBytes)
	}
	go func() {
		sum := sha256.New()
		for b := range blocks {
			sum.Write(b)
			free <- b[:cap(b)]
		}
		result <- hex.EncodeToString(sum.Sum(nil))
	}()
	return runningSum{free, blocks, sync.OnceValue(func() string {
		close(blocks)
		return <-result
	})}
}

// dataDir returns dir, or the folder of the official archive within it where
// that alone holds the files, with the names it contains.
func dataDir(dir string) (string, []string, error) {
	names, err := list(dir)
	if err != nil {
		return "", nil, err
	}
	if slices.Contains(names, nestedName) && !slices.ContainsFunc(names, isData) {
		dir = filepath.Join(dir, nestedName)
		if names, err = list(dir); err != nil {
			return "", nil, err
		}
	}
	if len(names) == 0 {
		return "", nil, &FileError{Path: dir, Offset: -1, Problem: "the folder is empty", Hint: fetchHint, Err: fs.ErrNotExist}
	}
	return dir, names, nil
}

func list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &FileError{Path: dir, Offset: -1, Problem: "there is no such data folder", Hint: fetchHint, Err: err}
	case err != nil:
		if info, e := os.Stat(dir); e == nil && !info.IsDir() {
			return nil, unread(dir, "is a file, expected a folder with data_batch_*.bin and "+testName, "", err)
		}
		return nil, &FileError{Path: dir, Offset: -1, Problem: "cannot be read as a folder: " + cause(err), Err: err}
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// cause is the part of a file system error that doesn't repeat the path.
func cause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

func isTrain(name string) bool {
	return strings.HasPrefix(name, "data_batch_") && strings.HasSuffix(name, ".bin")
}

func isData(name string) bool { return isTrain(name) || name == testName }

// batchNumber is the number in a training file's name; names without one sort
// last.
func batchNumber(name string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(name, "data_batch_"), ".bin"), 10, 64)
	if err != nil {
		return math.MaxUint64
	}
	return n
}

// withoutData is the error about a folder that has no file of the binary version: it says what is there in its place.
func withoutData(dir string) *FileError {
	return unread(dir, "the folder has no data_batch_*.bin", filesHint, fs.ErrNotExist)
}

// locate finds the files of a data folder.
func locate(dir string) (train []string, test string, err error) {
	dir, names, err := dataDir(dir)
	if err != nil {
		return nil, "", err
	}
	for _, name := range names {
		if isTrain(name) {
			train = append(train, name)
		}
	}
	if len(train) == 0 {
		return nil, "", withoutData(dir)
	}
	if !slices.Contains(names, testName) {
		return nil, "", &FileError{Path: dir, Offset: -1, Problem: "the folder has no " + testName, Hint: filesHint,
			Err: fs.ErrNotExist}
	}
	slices.SortStableFunc(train, func(a, b string) int { // names come sorted
		na, nb := batchNumber(a), batchNumber(b)
		if na < nb {
			return -1
		} else if na > nb {
			return 1
		}
		return 0
	})
	for i := range train {
		train[i] = filepath.Join(dir, train[i])
	}
	return train, filepath.Join(dir, testName), nil
}

// readSplit reads files one after another and adds their bytes to sum.
func readSplit(paths []string, classes []string, sum runningSum) (Split, error) {
	total := 0
	for _, path := range paths { // sizes first: a wrong file is not read at all
		info, err := os.Stat(path)
		if err != nil {
			return Split{}, &FileError{Path: path, Offset: -1, Problem: "cannot be read: " + cause(err), Hint: fetchHint, Err: err}
		}
		if !info.Mode().IsRegular() {
			return Split{}, &FileError{Path: path, Offset: -1, Problem: "is not a regular file", Hint: formatHint}
		}
		if err := checkSize(path, info.Size()); err != nil {
			return Split{}, err
		}
		total += int(info.Size() / RecordBytes)
	}
	s := Split{Images: make([]byte, 0, total*ImageBytes), Labels: make([]byte, 0, total)}
	for _, path := range paths {
		if err := s.read(path, len(classes), sum); err != nil {
			return Split{}, err
		}
	}
	return s, nil
}

// read appends the records of a file, and adds its bytes to sum.
func (s *Split) read(path string, classes int, sum runningSum) error {
	unreadable := func(err error) error {
		return &FileError{Path: path, Offset: -1, Problem: "cannot be read: " + cause(err), Err: err}
	}
	f, err := os.Open(path)
	if err != nil {
		return unreadable(err)
	}
	defer f.Close()
	for at := int64(0); ; {
		block := <-sum.free
		n, err := io.ReadFull(f, block)
		last := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !last {
			return unreadable(err)
		}
		if n > 0 || at == 0 {
			if err := s.parse(path, at, block[:n], classes); err != nil {
				return err
			}
		}
		sum.blocks <- block[:n]
		if at += int64(n); last {
			return nil
		}
	}
}

func checkSize(path string, size int64) error {
	if size == 0 {
		return &FileError{Path: path, Offset: 0, Problem: "the file is empty, expected records of 3073 bytes", Hint: fetchHint}
	}
	if rest := size % RecordBytes; rest != 0 {
		return &FileError{Path: path, Offset: size - rest,
			Problem: fmt.Sprintf("%d bytes are not a whole number of 3073-byte records: %d are left over after record %d", size, rest, size/RecordBytes),
			Hint:    formatHint}
	}
	return nil
}

// parse appends the records in data, whose labels are below classes. It begins at a whole record at byte from of the
// file path; both are for errors.
func (s *Split) parse(path string, from int64, data []byte, classes int) error {
	if err := checkSize(path, from+int64(len(data))); err != nil {
		return err
	}
	for i := 0; i < len(data); i += RecordBytes {
		record := data[i : i+RecordBytes]
		if at := from + int64(i); int(record[0]) >= classes {
			return &FileError{Path: path, Offset: at,
				Problem: fmt.Sprintf("record %d has label %d, expected 0 to %d", at/RecordBytes, record[0],
					classes-1), Hint: labelHint}
		}
		s.Labels = append(s.Labels, record[0])
		s.Images = append(s.Images, record[1:]...)
	}
	return nil
}

// readLimited reads all of r, or fails where it holds more than limit bytes.
func readLimited(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("it holds more than %d bytes", limit)
	}
	return data, err
}
