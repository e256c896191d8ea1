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
	total := file.Size
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
			hint = " (is the site reachable? " + others + " is another way)"
		}
		return fmt.Errorf("download of %s stopped at %d of %d bytes: %w%s; run the command again to go on from there", url,
			have, total, err, hint)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
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
				url, have, response.Header.Get("Content-Range"), path)
		}
	default:
		return fmt.Errorf("download of %s: the server answered %q; try again later, or %s", url, response.Status, others)
	}
	// A page that greets, or an archive of another version, must not become part of the file.
	if n := response.ContentLength; n >= 0 && have+n != total {
		return fmt.Errorf("download of %s: the server offers %d bytes, expected %d; try %s", url, have+n, total, others)
	}
	if err := f.Truncate(have); err != nil {
		return err
	}
	if _, err := f.Seek(have, io.SeekStart); err != nil {
		return err
	}
	progress("download", have, total)
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
			progress("download", have, total)
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
