package archive

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// tarFile is a tar archive that is read, compressed or not.
type tarFile struct {
	*tar.Reader
	file *os.File
}

func (t *tarFile) close() { t.file.Close() }

// counted tells how far a file is read.
type counted struct {
	io.Reader
	done int64
	tell func(done int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.done += int64(n)
	if c.tell != nil {
		c.tell(c.done)
	}
	return n, err
}

// openTar begins to read a tar archive. tell is told the bytes of the file that are read.
func openTar(name string, tell func(done int64)) (*tarFile, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(&counted{Reader: f, tell: tell}, 1<<16)
	head, _ := r.Peek(3) // short where the file is
	var from io.Reader = r
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		z, err := gzip.NewReader(r)
		if err != nil {
			f.Close()
			return nil, err
		}
		from = z
	case bytes.HasPrefix(head, []byte("BZh")):
		from = bzip2.NewReader(r)
	}
	return &tarFile{tar.NewReader(from), f}, nil
}

// all unpacks every entry.
func (u *unpacker) all(progress func(string, int, int)) error {
	info, err := os.Stat(u.archive)
	if err != nil {
		return err
	}
	stage := fmt.Sprintf("unpacking %s (MB)", filepath.Base(u.archive))
	tell := func(done, total int64) {
		if progress != nil {
			progress(stage, int(done/1e6), int(total/1e6))
		}
	}
	if z, err := zip.OpenReader(u.archive); err == nil {
		defer z.Close()
		return u.zip(z.File, tell)
	}
	t, err := openTar(u.archive, func(done int64) { tell(done, info.Size()) })
	if err != nil {
		return u.damaged(err)
	}
	defer t.close()
	return u.tar(t.Reader)
}

// damaged is the error of an archive that does not decode; others are as they are.
func (u *unpacker) damaged(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return refused(u.archive, "get it once more", "it is damaged: it ends too early")
	case errors.Is(err, zip.ErrAlgorithm):
		return refused(u.archive, "unpack it by hand and give the folder", "it is compressed in a way that is not supported")
	case errors.Is(err, tar.ErrHeader), errors.Is(err, zip.ErrFormat), errors.Is(err, zip.ErrChecksum),
		errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), isCompression(err):
		return refused(u.archive, "get it once more", "it is damaged: %v", err)
	}
	return err
}

// isCompression says whether an error is one of a decompressor.
func isCompression(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "flate: ") || strings.HasPrefix(text, "bzip2 ")
}

func (u *unpacker) tar(t *tar.Reader) error {
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return u.damaged(err)
		}
		name, err := u.name(h.Name)
		if err != nil {
			return err
		}
		switch {
		case name == "":
		case h.Typeflag == tar.TypeDir:
			err = u.folder(name)
		case h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeGNUSparse:
			err = u.file(name, t)
		case h.Typeflag == tar.TypeSymlink:
			err = u.link(name, h.Linkname)
		case h.Typeflag == tar.TypeLink:
			err = u.copyOf(name, h.Linkname)
		case h.Typeflag == tar.TypeXGlobalHeader:
		default:
			u.passed = append(u.passed, fmt.Sprintf("%q, a device, pipe or the like", name))
		}
		if err != nil {
			return u.damaged(err)
		}
	}
}

func (u *unpacker) zip(files []*zip.File, tell func(done, total int64)) error {
	var total int64
	for _, f := range files {
		total += int64(min(f.UncompressedSize64, 1<<50))
	}
	for _, f := range files {
		tell(u.written, max(total, u.written))
		if err := u.entry(f); err != nil {
			return u.damaged(err)
		}
	}
	return nil
}

// entry unpacks an entry of a zip.
func (u *unpacker) entry(f *zip.File) error {
	given := f.Name
	if f.NonUTF8 && !utf8.ValidString(given) { // what the format has where nothing is said
		if text, err := charmap.CodePage437.NewDecoder().String(given); err == nil {
			given = text
		}
	}
	given = strings.ReplaceAll(given, `\`, "/") // of programs for Windows
	name, err := u.name(given)
	if err != nil || name == "" {
		return err
	}
	const encrypted = 1
	mode := f.Mode()
	switch {
	case strings.HasSuffix(given, "/") || mode.IsDir():
		return u.folder(name)
	case f.Flags&encrypted != 0:
		return refused(u.archive, "unpack it by hand and give the folder", "it is locked by a password")
	case !mode.IsRegular() && mode&os.ModeSymlink == 0:
		u.passed = append(u.passed, fmt.Sprintf("%q, a device, pipe or the like", name))
		return nil
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if mode&os.ModeSymlink != 0 {
		const most = 4096
		to, err := io.ReadAll(io.LimitReader(r, most))
		if err != nil {
			return err
		}
		return u.link(name, string(to))
	}
	return u.file(name, r)
}
