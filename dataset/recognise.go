package dataset

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"ninvk/picture"
)

// Data that people have and that are of no format are recognised by content and named, with what helps.

// neighbour is a kind of data that is not read: what it is, and what to do. Without help of its own the one that knows
// what is read says that.
type neighbour struct{ what, help string }

const (
	predictIt = "`ninvk predict PATH` classifies pictures; to train, put the images of each class into a folder of its own"
	fetchSame = "`ninvk data fetch --out DIR` brings the same images in the binary version"
	unpackIt  = "unpack it and give the folder"
)

// Files of CIFAR's binary versions are records of labels and an image.
const (
	cifarImage  = 3 * 32 * 32
	cifarTrain  = "data_batch_" // how the names of CIFAR-10's files begin
	cifarTest   = "test_batch.bin"
	cifarEnding = ".bin"
)

// isBatch says whether a file has a name of CIFAR-10's binary version.
func isBatch(name string) bool {
	return name == cifarTest || strings.HasPrefix(name, cifarTrain) && strings.HasSuffix(name, cifarEnding)
}

var (
	cifar10Python  = neighbour{"CIFAR-10's Python version (pickles)", fetchSame}
	cifar10Binary  = neighbour{what: "CIFAR-10's binary version"}
	cifar10Matlab  = neighbour{what: "a MATLAB file, as CIFAR and SVHN are published in"}
	cifar10Unnamed = neighbour{"records of CIFAR-10's binary version under another name",
		"rename the files to data_batch_1.bin and so on, and those for testing to " + cifarTest +
			"; the folder is then what --data takes"}
	cifar100Python = neighbour{what: "CIFAR-100's Python version (pickles)"}
	cifar100Binary = neighbour{what: "CIFAR-100's binary version"}
	otherPickle    = neighbour{what: "a Python pickle"}
	idx            = neighbour{what: "MNIST's format (IDX), as Fashion-MNIST and EMNIST have it, too"}
	csvTable       = neighbour{what: "a table in CSV"}
	tfrecord       = neighbour{what: "TensorFlow's TFRecord"}
	npz            = neighbour{what: "NumPy's arrays (.npz)"}
	npy            = neighbour{what: "a NumPy array (.npy)"}
	parquet        = neighbour{what: "a Parquet table, as Hugging Face's data sets are published in"}
	hdf5           = neighbour{what: "an HDF5 file"}
	weightsFile    = neighbour{"a file of weights, not of images", "--init or --weights takes it"}
	onePicture     = neighbour{"a single image", predictIt}
	pictures       = neighbour{"images without classes", predictIt}
	classFolders   = neighbour{what: "a folder of classes, each a folder of images"}
)

// in is an archive's content as a neighbour.
func (n neighbour) in(archive string) neighbour {
	if n == (neighbour{}) {
		return neighbour{archive, unpackIt}
	}
	if !strings.Contains(n.what, ", within ") && n.help != unpackIt { // a tar in a gzip is one archive to its user
		n.what += ", within " + archive
	}
	return n
}

// Bounds on what is looked at, so that an answer comes soon whatever is given.
const (
	headBytes   = 4096
	mostEntries = 2000
	mostDepth   = 3
	mostSearch  = 256 << 20 // bytes of a pickle, whose labels may come before what tells its kind
)

// recognise says what a file or folder is that holds no data, the zero value where nobody knows.
func recognise(name string) neighbour {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return neighbour{}
	case info.IsDir():
		return recogniseFolder(name)
	case info.Mode().IsRegular(): // a pipe would be waited for
		return recogniseFile(name, info.Size())
	}
	return neighbour{}
}

func recogniseFile(name string, size int64) neighbour {
	f, err := os.Open(name)
	if err != nil {
		return neighbour{}
	}
	defer f.Close()
	if head := make([]byte, 4); readHead(f, head) == 4 && string(head) == "PK\x03\x04" {
		return recogniseZip(f, size)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return neighbour{}
	}
	return recogniseStream(f, size, 0)
}

func readHead(r io.Reader, b []byte) int {
	n, _ := io.ReadFull(r, b) // short where the file is
	return n
}

// recogniseStream looks at bytes from the beginning on. size is their number, -1 where it is not known; depth counts
// the compressions around them.
func recogniseStream(from io.Reader, size int64, depth int) neighbour {
	r := bufio.NewReaderSize(from, headBytes)
	head, _ := r.Peek(headBytes) // short where the file is
	has := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case has("\x1f\x8b") && depth < 2:
		z, err := gzip.NewReader(r)
		if err != nil {
			return neighbour{}.in("a gzip archive")
		}
		return recogniseStream(z, -1, depth+1).in("a gzip archive")
	case has("BZh") && depth < 2:
		return recogniseStream(bzip2.NewReader(r), -1, depth+1).in("a bzip2 archive")
	case has("\xfd7zXZ\x00"):
		return neighbour{}.in("an xz archive")
	case has("\x28\xb5\x2f\xfd"):
		return neighbour{}.in("a Zstandard archive")
	case has("7z\xbc\xaf\x27\x1c"):
		return neighbour{}.in("a 7z archive")
	case has("Rar!"):
		return neighbour{}.in("a RAR archive")
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return recogniseTar(r)
	case has("PAR1"):
		return parquet
	case has("\x89HDF\r\n\x1a\n"):
		return hdf5
	case has("\x93NUMPY"):
		return npy
	case has("MATLAB 5.0 MAT-file"):
		return cifar10Matlab
	case isIDX(head):
		return idx
	case isTFRecord(head):
		return tfrecord
	case picture.IsImage("", head):
		return onePicture
	case len(head) > 2 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5, has("(dp"):
		return recognisePickle(r)
	case len(head) > 16 && head[8] == '{' && binary.LittleEndian.Uint64(head) < 100<<20 &&
		bytes.Contains(head, []byte(`"dtype"`)):
		return weightsFile
	case isRecords(head, size, 1+cifarImage, 0, 10):
		return cifar10Unnamed
	case isRecords(head, size, 2+cifarImage, 1, 100) && head[0] < 20:
		return cifar100Binary
	case isTable(head):
		return csvTable
	}
	return neighbour{}
}

// isIDX looks for MNIST's header: two zeros, the type of the values, the number of dimensions and each of them.
func isIDX(head []byte) bool {
	if len(head) < 8 || head[0] != 0 || head[1] != 0 || !bytes.Contains([]byte{8, 9, 11, 12, 13, 14}, head[2:3]) ||
		head[3] < 1 || head[3] > 4 {
		return false
	}
	return binary.BigEndian.Uint32(head[4:]) > 0
}

// isTFRecord checks the length of the first record by its checksum.
func isTFRecord(head []byte) bool {
	if len(head) < 12 {
		return false
	}
	sum := crc32.Checksum(head[:8], crc32.MakeTable(crc32.Castagnoli))
	return (sum>>15|sum<<17)+0xa282ead8 == binary.LittleEndian.Uint32(head[8:])
}

// isRecords says whether a file consists of records of so many bytes with a label below classes at byte at, as far as
// the first ones show.
func isRecords(head []byte, size, each int64, at, classes int) bool {
	if size <= 0 || size%each != 0 || int64(len(head)) < min(size, each) {
		return false
	}
	for i := int64(0); i+int64(at) < int64(len(head)); i += each {
		if int(head[i+int64(at)]) >= classes {
			return false
		}
	}
	return true
}

// isTable says whether the first two lines are text with as many fields in either.
func isTable(head []byte) bool {
	lines := strings.SplitN(string(head), "\n", 3)
	if len(lines) < 2 || !utf8.ValidString(lines[0]) || strings.ContainsRune(lines[0], 0) {
		return false
	}
	for _, separator := range []string{",", ";", "\t"} {
		n := strings.Count(lines[0], separator)
		if n > 0 && (strings.Count(lines[1], separator) == n || len(lines) == 2) {
			return true
		}
	}
	return false
}

// recognisePickle searches a pickle for the keys of CIFAR's dictionaries, running nothing.
func recognisePickle(r io.Reader) neighbour {
	has := map[string]bool{}
	keys := []string{"fine_label", "labels", "batch_label", "data", "label_names"}
	r = io.LimitReader(r, mostSearch)
	block := make([]byte, 1<<20)
	kept := 0 // of the block before, in which a key may begin
	for {
		n, err := io.ReadFull(r, block[kept:])
		for _, key := range keys {
			has[key] = has[key] || bytes.Contains(block[:kept+n], []byte(key))
		}
		if has["fine_label"] {
			return cifar100Python
		}
		if err != nil {
			break
		}
		kept = copy(block, block[len(block)-32:])
	}
	if has["label_names"] || has["data"] && (has["labels"] || has["batch_label"]) {
		return cifar10Python
	}
	return otherPickle
}

// Unread is the error about a path that holds no data that are read: it says what it is where that is known, else
// problem and hint.
func Unread(name, problem, hint string, cause error) *FileError {
	if n := recognise(name); n != (neighbour{}) {
		problem += ": this is " + n.what
		if n.help != "" {
			hint = strings.ReplaceAll(n.help, "PATH", name)
		}
	}
	return &FileError{Path: name, Offset: -1, Problem: problem, Hint: hint, Err: cause}
}
