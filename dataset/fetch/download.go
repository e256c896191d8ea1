package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"ninvk/dataset"
)

const stallTime = time.Minute // a download that gets nothing for so long has stalled

// Download completes the file at path, going on after the bytes that are there, and checks its size and SHA-256. What
// has another content is deleted. Others are what else can be tried, as a flag in a person's words. Progress is told
// the stage ("download" or "check") and its bytes.
func Download(ctx context.Context, url, path string, file File, others string,
	progress func(stage string, done, total int64)) error {
	if err := download(ctx, url, path, file, others, progress); err != nil {
		if info, e := os.Stat(path); e == nil && info.Size() == 0 {
			os.Remove(path) // nothing to go on from
		}
		return err
	}
	sum, size, err := Sum(ctx, path, func(n int64) { progress("check", n, file.Size) })
	if err != nil {
		return err
	}
	if size != file.Size || sum != file.SHA256 {
		os.Remove(path)
		return &dataset.FileError{Path: path, Offset: -1,
			Problem: fmt.Sprintf("the download has %d bytes and SHA-256 %s, expected %d bytes and SHA-256 %s; it was deleted",
				size, sum, file.Size, file.SHA256),
			Hint: "run the command again, or try " + others}
	}
	return nil
}

// download is Download without the check of the SHA-256.
func download(ctx context.Context, url, path string, file File, others string,
	progress func(stage string, done, total int64)) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if have > file.Size {
		have = 0 // not ours
	}
	if have == file.Size {
		return nil
	}
	t := &transfer{url: url, path: path, others: others, have: have, total: file.Size, progress: progress}
	t.ctx, t.cancel = context.WithCancelCause(ctx)
	defer t.cancel(nil)
	watch := time.AfterFunc(stallTime, func() { t.cancel(errStalled) })
	defer watch.Stop()

	body, err := t.request()
	if err != nil {
		return err
	}
	defer body.Close()
	if err := f.Truncate(t.have); err != nil {
		return err
	}
	if _, err := f.Seek(t.have, io.SeekStart); err != nil {
		return err
	}
	return t.receive(body, f, watch)
}

var errStalled = fmt.Errorf("nothing came for %v", stallTime)

// transfer is a download under way.
type transfer struct {
	ctx         context.Context
	cancel      context.CancelCauseFunc
	url, path   string
	others      string // what else can be tried
	have, total int64  // bytes
	progress    func(stage string, done, total int64)
}

// stopped is the error about a transfer that was begun and came to an end too early.
func (t *transfer) stopped(err error) error {
	if c := context.Cause(t.ctx); errors.Is(c, errStalled) {
		err = errStalled
	} else if c != nil {
		return c
	}
	hint := ""
	if e := (net.Error)(nil); errors.As(err, &e) {
		hint = " (is the site reachable? " + t.others + " is another way)"
	}
	return fmt.Errorf("download of %s stopped at %d of %d bytes: %w%s; run the command again to go on from there", t.url,
		t.have, t.total, err, hint)
}

// request asks for the bytes that are not here yet. Where the server sends all of them, none is here.
func (t *transfer) request() (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(t.ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return nil, fmt.Errorf("download: %w", err)
	}
	if t.have > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", t.have))
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, t.stopped(err)
	}
	if err := t.accept(response); err != nil {
		response.Body.Close()
		return nil, err
	}
	return response.Body, nil
}

// accept is an error about an answer that does not bring the bytes wanted.
func (t *transfer) accept(response *http.Response) error {
	var first int64
	switch response.StatusCode {
	case http.StatusOK: // the server ignores ranges, or none was asked for
		t.have = 0
	case http.StatusPartialContent:
		if _, err := fmt.Sscanf(response.Header.Get("Content-Range"), "bytes %d-", &first); err != nil || first != t.have {
			return fmt.Errorf("download of %s: asked for bytes from %d on, the server sent %q; delete %s to start again",
				t.url, t.have, response.Header.Get("Content-Range"), t.path)
		}
	default:
		return fmt.Errorf("download of %s: the server answered %q; try again later, or %s", t.url, response.Status, t.others)
	}
	// A page that greets, or an archive of another version, must not become part of the file.
	if n := response.ContentLength; n >= 0 && t.have+n != t.total {
		return fmt.Errorf("download of %s: the server offers %d bytes, expected %d; try %s", t.url, t.have+n, t.total,
			t.others)
	}
	return nil
}

// receive writes what comes to the file, which it closes when all is there. Whatever comes sets the watch back.
func (t *transfer) receive(body io.Reader, f *os.File, watch *time.Timer) error {
	t.progress("download", t.have, t.total)
	body = io.LimitReader(body, t.total-t.have+1) // one more byte tells that it's too long
	buffer := make([]byte, 1<<18)
	for {
		n, err := body.Read(buffer)
		watch.Reset(stallTime)
		if n > 0 {
			if _, err := f.Write(buffer[:n]); err != nil {
				return err
			}
			t.have += int64(n)
			t.progress("download", t.have, t.total)
		}
		switch {
		case err == io.EOF && t.have < t.total:
			return t.stopped(io.ErrUnexpectedEOF)
		case err == io.EOF:
			return f.Close()
		case err != nil:
			return t.stopped(err)
		}
	}
}
