// Package codec decodes images by C libraries that are compiled to WebAssembly. They are libjpeg-turbo, libwebp,
// libavif with dav1d, and libheif with libde265. Each file is decoded in a sandbox of its own, which has no files, no
// network and no output, as much memory as MaxMemory and as much time as MaxTime: what goes wrong in it is that file's
// error. The folder wasm says where the modules come from.
package codec

// Size judges width and height of an image, in pixels, before memory is allocated for it; an error ends the decoding.
type Size func(width, height int) error

// Error says, in half a sentence, why a library could not decode a file.
type Error struct {
	Problem string
	Kind    Kind
}

// Kind is whose fault it is that a file could not be decoded.
type Kind int

// The kinds. Of the last two the file may be whole.
const (
	Damaged     Kind = iota
	Unsupported      // the library does not do what the file needs
	Limit            // it takes more memory or time than a file may
)

func (e *Error) Error() string { return e.Problem }
