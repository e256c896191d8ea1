// Package cifar10 decodes CIFAR-10 in its binary version, of which it carries a small sample.
//
// A file of the binary version is a sequence of records without header or separator: one byte of label, then the image
// as three planes (red, green, blue) of 32×32 bytes, each row by row.
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

	"ninvk/dataset"
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

// Format is what such data are called.
const Format = "CIFAR-10's binary version"

// Data are folders that Open reads.
var Data = dataset.Format{
	Name: Format,
	Is: func(path string) bool {
		_, names, err := dataDir(path)
		return err == nil && slices.ContainsFunc(names, isData)
	},
	Open: func(path string, o dataset.Options) (*dataset.Set, error) {
		d, err := Open(path)
		if err == nil {
			d.SetChannels(o.Channels)
		}
		return d, err
	},
}

// ClassNames are the names of CIFAR-10's classes, by label.
var ClassNames = [Classes]string{
	"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
}

// batches are the records of one or more files: image i is images[i*ImageBytes:][:ImageBytes], its label labels[i].
type batches struct {
	images []byte // [n, 3, 32, 32], 0 to 255
	labels []uint16
}

// split is the images as a part of a data set; what names its images.
func (r batches) split(what string) dataset.Split {
	shape := dataset.Shape{C: Channels, H: Height, W: Width}
	source := dataset.Memory{Shape: shape, Pixels: r.images, What: what}
	return dataset.Split{Shape: shape, Labels: r.labels, Source: source}
}

// Records are those of a file with the split's images, which must be of CIFAR-10's shape.
func Records(s dataset.Split) ([]byte, error) {
	b := make([]byte, 0, s.Len()*RecordBytes)
	for i, label := range s.Labels {
		b = append(b, byte(label))
		b = b[:len(b)+ImageBytes]
		if err := s.Read(i, b[len(b)-ImageBytes:]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// wholeTrain is the number of training images in all of CIFAR-10.
const wholeTrain = 50000

// What the images of the splits are called, with their number.
const (
	trainImage = "training image"
	testImage  = "test image"
)

const (
	fetchHint  = "`ninvk data fetch` obtains CIFAR-10"
	filesHint  = "data_batch_*.bin and " + TestFile + " are expected in it; " + fetchHint
	formatHint = "CIFAR-10's binary version is expected: records of 3073 bytes, a label and 3072 bytes of image; `ninvk " +
		"data verify` checks the published files"

	labelHint = "as many classes as " + ClassesFile + " in the folder names are expected, without it CIFAR-10's ten; " +
		"" + formatHint
)

// Names of the published files.
const (
	TestFile       = "test_batch.bin"
	OfficialFolder = "cifar-10-batches-bin" // in the official archive, around the files
)

// officialSHA256 is Dataset.SHA256 of these files.
const officialSHA256 = "013ba16d14ecc4829da62bf2af648ca30f600491ecb3e7f329c827db0dd17522"

// Open reads a folder of CIFAR-10 binary files: every data_batch_*.bin, in
// numeric order, is training data, test_batch.bin the test split. The files may
// also lie in a folder cifar-10-batches-bin inside dir. Each may hold any
// number of records but none. Errors about what the folder holds are of type
// *dataset.FileError.
//
// batches.meta.txt names the classes, one a line; in a folder without it they are CIFAR-10's.
func Open(dir string) (*dataset.Set, error) {
	train, test, err := locate(dir)
	if err != nil {
		return nil, err
	}
	sum := newSum()
	defer sum.end()
	d := &dataset.Set{Name: filepath.Clean(dir), Format: Format, Channels: Channels}
	if d.Classes, d.Named, err = classesOf(filepath.Dir(test)); err != nil {
		return nil, err
	}
	trained, err := readRecords(train, d.Classes, sum)
	if err != nil {
		return nil, err
	}
	tested, err := readRecords([]string{test}, d.Classes, sum)
	if err != nil {
		return nil, err
	}
	d.Train, d.Test = trained.split(trainImage), tested.split(testImage)
	if d.Train.Len() == wholeTrain {
		d.Title = "CIFAR-10"
	}
	d.SHA256 = sum.end()
	if d.Named = d.Named || d.SHA256 == officialSHA256; !d.Named {
		d.Notes = append(d.Notes, fmt.Sprintf("there is no %s, which names the classes: CIFAR-10's %d are assumed",
			ClassesFile,
			Classes))
	}
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
	if slices.Contains(names, OfficialFolder) && !slices.ContainsFunc(names, isData) {
		dir = filepath.Join(dir, OfficialFolder)
		if names, err = list(dir); err != nil {
			return "", nil, err
		}
	}
	if len(names) == 0 {
		return "", nil, &dataset.FileError{Path: dir, Offset: -1, Problem: "the folder is empty", Hint: fetchHint,
			Err: fs.ErrNotExist}
	}
	return dir, names, nil
}

// DataDir is the folder that holds files of the binary version: dir, or the folder of the official archive within it.
// The error says what is there in their place.
func DataDir(dir string) (string, error) {
	dir, names, err := dataDir(dir)
	if err == nil && !slices.ContainsFunc(names, isData) {
		err = withoutData(dir)
	}
	return dir, err
}

func list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &dataset.FileError{Path: dir, Offset: -1, Problem: "there is no such data folder",
			Hint: fetchHint, Err: err}
	case err != nil:
		if info, e := os.Stat(dir); e == nil && !info.IsDir() {
			return nil, dataset.Unread(dir, "is a file, expected a folder with data_batch_*.bin and "+TestFile, "", err)
		}
		return nil, &dataset.FileError{Path: dir, Offset: -1, Problem: "cannot be read as a folder: " +
			dataset.Cause(err), Err: err}
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func isTrain(name string) bool {
	return strings.HasPrefix(name, "data_batch_") && strings.HasSuffix(name, ".bin")
}

func isData(name string) bool { return isTrain(name) || name == TestFile }

// batchNumber is the number in a training file's name; names without one sort last.
func batchNumber(name string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(name, "data_batch_"), ".bin"), 10, 64)
	if err != nil {
		return math.MaxUint64
	}
	return n
}

// withoutData is the error about a folder that has no file of the binary version: it says what is there in its place.
func withoutData(dir string) *dataset.FileError {
	return dataset.Unread(dir, "the folder has no data_batch_*.bin", filesHint, fs.ErrNotExist)
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
	if !slices.Contains(names, TestFile) {
		return nil, "", &dataset.FileError{Path: dir, Offset: -1, Problem: "the folder has no " + TestFile, Hint: filesHint,
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
	return train, filepath.Join(dir, TestFile), nil
}

// readRecords reads files one after another and adds their bytes to sum.
func readRecords(paths []string, classes []string, sum runningSum) (batches, error) {
	total := 0
	for _, path := range paths { // sizes first: a wrong file is not read at all
		info, err := os.Stat(path)
		if err != nil {
			return batches{}, &dataset.FileError{Path: path, Offset: -1, Problem: "cannot be read: " + dataset.Cause(err),
				Hint: fetchHint, Err: err}
		}
		if !info.Mode().IsRegular() {
			return batches{}, &dataset.FileError{Path: path, Offset: -1, Problem: "is not a regular file", Hint: formatHint}
		}
		if err := checkSize(path, info.Size()); err != nil {
			return batches{}, err
		}
		total += int(info.Size() / RecordBytes)
	}
	r := batches{images: make([]byte, 0, total*ImageBytes), labels: make([]uint16, 0, total)}
	for _, path := range paths {
		if err := r.read(path, len(classes), sum); err != nil {
			return batches{}, err
		}
	}
	return r, nil
}

// read appends the records of a file, and adds its bytes to sum.
func (r *batches) read(path string, classes int, sum runningSum) error {
	unreadable := func(err error) error {
		return &dataset.FileError{Path: path, Offset: -1, Problem: "cannot be read: " + dataset.Cause(err), Err: err}
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
			if err := r.parse(path, at, block[:n], classes); err != nil {
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
		return &dataset.FileError{Path: path, Offset: 0, Problem: "the file is empty, expected records of 3073 bytes",
			Hint: fetchHint}
	}
	if rest := size % RecordBytes; rest != 0 {
		return &dataset.FileError{Path: path, Offset: size - rest,
			Problem: fmt.Sprintf("%d bytes are not a whole number of 3073-byte records: %d are left over after record %d", size,
				rest, size/RecordBytes),
			Hint: formatHint}
	}
	return nil
}

// parse appends the records in b, whose labels are below classes. It begins at a whole record at byte from of the
// file path; both are for errors.
func (r *batches) parse(path string, from int64, b []byte, classes int) error {
	if err := checkSize(path, from+int64(len(b))); err != nil {
		return err
	}
	for i := 0; i < len(b); i += RecordBytes {
		record := b[i : i+RecordBytes]
		if at := from + int64(i); int(record[0]) >= classes {
			return &dataset.FileError{Path: path, Offset: at,
				Problem: fmt.Sprintf("record %d has label %d, expected 0 to %d", at/RecordBytes, record[0],
					classes-1), Hint: labelHint}
		}
		r.labels = append(r.labels, uint16(record[0]))
		r.images = append(r.images, record[1:]...)
	}
	return nil
}
