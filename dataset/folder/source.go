package folder

import (
	"fmt"
	"sync"

	"ninvk/dataset"
	"ninvk/picture"
)

// source decodes images when they are asked for.
type source struct {
	root     string
	items    []item
	facts    []facts
	fit      dataset.Fit
	size     int
	channels int
}

// buffers hold the bytes of files.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Read decodes image i and fits it.
func (s *source) Read(i int, dst []byte) error {
	name := s.file(i)
	fail := func(err error) error {
		return &dataset.FileError{Path: name, Offset: -1, Problem: err.Error(), Err: err}
	}
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	data, info, err := picture.ReadBytes(name, *buffer)
	if err != nil {
		return fail(err)
	}
	*buffer = data
	if info.Size() != s.facts[i].Size || info.ModTime().UnixNano() != s.facts[i].Time {
		return fail(fmt.Errorf("has changed since the images were checked; start again"))
	}
	img, err := picture.DecodeBytes(data)
	if err != nil {
		return fail(err)
	}
	picture.Fit(s.fit).Planes(img, s.size, s.channels, dst)
	return nil
}

// Name is the file's, from the folder or the table on.
func (s *source) Name(i int) string { return s.items[i].path }

func (s *source) file(i int) string {
	return locate(s.root, s.items[i].path)
}

// Describe is what the check found.
func (s *source) Describe(i int) dataset.Facts {
	f := s.facts[i]
	return dataset.Facts{Width: int(f.W), Height: int(f.H), SHA256: f.Sum}
}
