package published

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"ninvk/cifar10"
	"ninvk/dataset"
	"ninvk/dataset/fetch"
)

// fileSum is a published file.
type fileSum = fetch.File

// officialFiles are the files of the binary version: training data in order, the test file last.
var officialFiles = []fileSum{
	{Name: "data_batch_1.bin", Size: 30730000,
		SHA256: "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"},
	{Name: "data_batch_2.bin", Size: 30730000,
		SHA256: "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"},
	{Name: "data_batch_3.bin", Size: 30730000,
		SHA256: "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"},
	{Name: "data_batch_4.bin", Size: 30730000,
		SHA256: "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"},
	{Name: "data_batch_5.bin", Size: 30730000,
		SHA256: "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"},
	{Name: cifar10.TestFile, Size: 30730000,
		SHA256: "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"},
}

// FileStatus is the outcome of checking one of the six published files.
type FileStatus struct {
	Name    string `json:"name"`
	Size    int64  `json:"size"`              // bytes found; 0 where the file can't be read
	SHA256  string `json:"sha256"`            // hex, as found; empty where the file can't be read
	OK      bool   `json:"ok"`                // size and SHA-256 are the published ones
	Problem string `json:"problem,omitempty"` // what was found and what was expected
}

// Verify checks the six files of CIFAR-10's binary version in dir (or in the folder cifar-10-batches-bin within it) by
// size and SHA-256. It returns the status of every file and, where one is not as published, a *dataset.FileError that
// names the first such file. The list is nil where dir can't be read or has none of the files; then the error says what
// is there in their place.
func Verify(dir string) ([]FileStatus, error) {
	return verify(context.Background(), dir, officialFiles, nil)
}

func verify(ctx context.Context, dir string, files []fileSum, progress func(done, total int64)) ([]FileStatus, error) {
	dir, err := cifar10.DataDir(dir)
	if err != nil {
		return nil, err
	}
	var total, before int64
	for _, f := range files {
		total += f.Size
	}
	var first error
	list := make([]FileStatus, len(files))
	for i, f := range files {
		path := filepath.Join(dir, f.Name)
		s := FileStatus{Name: f.Name}
		sum, size, err := fetch.Sum(ctx, path, func(n int64) {
			if progress != nil {
				progress(before+min(n, f.Size), total)
			}
		})
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		before += f.Size
		switch {
		case errors.Is(err, fs.ErrNotExist):
			s.Problem = fmt.Sprintf("the file is missing, expected %d bytes with SHA-256 %s", f.Size, f.SHA256)
		case err != nil:
			s.Problem = "cannot be read: " + dataset.Cause(err)
		default:
			s.Size, s.SHA256 = size, sum
			s.OK = size == f.Size && sum == f.SHA256
			if !s.OK {
				s.Problem = fmt.Sprintf("found %d bytes with SHA-256 %s, expected %d bytes with SHA-256 %s", size, sum, f.Size,
					f.SHA256)
			}
		}
		if !s.OK && first == nil {
			first = &dataset.FileError{Path: path, Offset: -1, Problem: s.Problem,
				Hint: "`ninvk data fetch` into another folder obtains the published files", Err: err}
		}
		list[i] = s
	}
	return list, first
}
