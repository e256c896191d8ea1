package safetensors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"unicode/utf8"
)

// maxHeader is the largest header accepted, in bytes; those of the largest models take a few million.
const maxHeader = 25_000_000

// metadataKey is the header's only key that is not a tensor's name.
const metadataKey = "__metadata__"

// FormatError says what is wrong with a safetensors file, or what in it is not known, and where.
type FormatError struct {
	Path    string // empty where the bytes did not come from a file
	Offset  int64  // bytes from the start of the file
	Problem string
	Unknown bool // the file may be whole, but has a type of elements that is not known
}

func (e *FormatError) Error() string {
	where := e.Path
	if where == "" {
		where = "data"
	}
	if e.Unknown {
		return fmt.Sprintf("%s can't be read: at byte %d: %s; convert the model by .float() before saving", where, e.Offset,
			e.Problem)
	}
	return fmt.Sprintf("%s is not a valid safetensors file: at byte %d: %s", where, e.Offset, e.Problem)
}

// Read reads a whole file. The error is a *FormatError where the content is
// at fault, and the operating system's where the file can't be read.
func Read(path string) (*File, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading weights: %w", err)
	}
	f, err := Decode(b)
	var format *FormatError
	if errors.As(err, &format) {
		format.Path = path
	}
	return f, err
}

// Decode reads a file's bytes. The tensors' Data are slices of b, so b must
// not change afterwards. An error is always a *FormatError without a path.
func Decode(b []byte) (*File, error) {
	n, err := headerLength(b[:min(len(b), 8)], int64(len(b)))
	if err != nil {
		return nil, err
	}
	data := b[8+n:]
	f, entries, err := readHeader(b[8 : 8+n])
	if err != nil {
		return nil, err
	}
	if err := check(f, entries, int64(len(data)), 8+n); err != nil {
		return nil, err
	}
	for i, e := range entries {
		f.Tensors[i].Data = data[e.begin:e.end:e.end]
	}
	f.sortTensors()
	return f, nil
}

// readHeader reads a header, without its length.
func readHeader(header []byte) (*File, []entry, error) {
	if len(header) == 0 || header[0] != '{' {
		return nil, nil, &FormatError{Offset: 8, Problem: "the header does not start with '{'"}
	}
	if !utf8.Valid(header) {
		i := 0
		for i < len(header) {
			r, size := utf8.DecodeRune(header[i:])
			if r == utf8.RuneError && size == 1 {
				break
			}
			i += size
		}
		return nil, nil, &FormatError{Offset: int64(8 + i), Problem: "the header is not valid UTF-8"}
	}

	// A token decoder, because unmarshalling into maps silently keeps the last of two equal keys.
	p := &parser{dec: json.NewDecoder(bytes.NewReader(header))}
	p.dec.UseNumber()
	return p.header()
}

// entry is what the header says about the tensor of the same index.
type entry struct {
	begin, end int   // bytes from the start of the data
	offset     int64 // of the header's entry, for error messages
}

// check checks that the tensors tile exactly the size bytes of data. dataStart is the file offset of the first of them.
func check(f *File, entries []entry, size, dataStart int64) error {
	order := make([]int, len(entries))
	for i, e := range entries {
		order[i] = i
		t := &f.Tensors[i]
		refuse := func(format string, a ...any) error {
			return &FormatError{Offset: e.offset, Problem: fmt.Sprintf("tensor %q ", t.Name) + fmt.Sprintf(format, a...)}
		}
		if problem := unknown(t.DType); problem != "" {
			return &FormatError{Offset: e.offset, Problem: fmt.Sprintf("tensor %q %s", t.Name, problem), Unknown: true}
		}
		takes, problem := byteSize(t.DType, t.Shape)
		switch {
		case problem != "":
			return refuse("%s", problem)
		case e.begin > e.end:
			return refuse("has data_offsets [%d, %d], which end before they begin", e.begin, e.end)
		case int64(e.end) > size:
			return refuse("has data_offsets [%d, %d], but the file has only %d bytes of data (is it truncated?)", e.begin, e.end,
				size)
		case e.end-e.begin != takes:
			return refuse("has data_offsets [%d, %d], that is %d bytes, but %s of shape %v takes %d", e.begin, e.end,
				e.end-e.begin, t.DType, t.Shape, takes)
		}
	}
	sort.Slice(order, func(i, j int) bool {
		a, b := entries[order[i]], entries[order[j]]
		if a.begin != b.begin {
			return a.begin < b.begin
		}
		return a.end < b.end
	})
	at := 0
	for k, i := range order {
		e := entries[i]
		switch {
		case e.begin < at:
			return &FormatError{Offset: e.offset, Problem: fmt.Sprintf("the data of tensors %q and %q overlap",
				f.Tensors[order[k-1]].Name, f.Tensors[i].Name)}
		case e.begin > at:
			return &FormatError{Offset: dataStart + int64(at),
				Problem: fmt.Sprintf("%d bytes before tensor %q belong to no tensor", e.begin-at, f.Tensors[i].Name)}
		}
		at = e.end
	}
	if int64(at) < size {
		return &FormatError{Offset: dataStart + int64(at),
			Problem: fmt.Sprintf("%d bytes are left over after the last tensor", size-int64(at))}
	}
	return nil
}

// parser walks the header's JSON token by token.
type parser struct {
	dec *json.Decoder
}

// offset is the place in the file that was read up to.
func (p *parser) offset() int64 { return 8 + p.dec.InputOffset() }

func (p *parser) errorf(format string, a ...any) error {
	return &FormatError{Offset: p.offset(), Problem: fmt.Sprintf(format, a...)}
}

// token is the next token; broken JSON is an error.
func (p *parser) token() (json.Token, error) {
	tok, err := p.dec.Token()
	if err == nil {
		return tok, nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, p.errorf("the header's JSON ends too early")
	}
	// The offset inside a syntax error counts from different places; where the last good token ended is always right.
	return nil, p.errorf("the header is not valid JSON from here on: %v", err)
}

// open reads the bracket that starts an object or array.
func (p *parser) open(bracket json.Delim, what string) error {
	tok, err := p.token()
	if err != nil {
		return err
	}
	if tok != bracket {
		return p.errorf("%s must start with '%s'", what, bracket)
	}
	return nil
}

// object calls member after each key of the object that comes next.
func (p *parser) object(what string, member func(key string) error) error {
	if err := p.open('{', what); err != nil {
		return err
	}
	seen := map[string]bool{}
	for {
		tok, err := p.token()
		if err != nil {
			return err
		}
		key, isKey := tok.(string)
		if !isKey { // only '}' can come here
			return nil
		}
		if seen[key] {
			return p.errorf("%s has %q twice", what, key)
		}
		seen[key] = true
		if err := member(key); err != nil {
			return err
		}
	}
}

// text reads a string.
func (p *parser) text(what string) (string, error) {
	tok, err := p.token()
	if err != nil {
		return "", err
	}
	s, ok := tok.(string)
	if !ok {
		return "", p.errorf("%s must be a string", what)
	}
	return s, nil
}

// numbers reads an array of whole numbers from 0.
func (p *parser) numbers(what string) ([]int, error) {
	if err := p.open('[', what); err != nil {
		return nil, err
	}
	list := []int{}
	for {
		tok, err := p.token()
		if err != nil {
			return nil, err
		}
		if tok == json.Delim(']') {
			return list, nil
		}
		num, ok := tok.(json.Number)
		if !ok {
			return nil, p.errorf("%s must be an array of whole numbers", what)
		}
		// One bit less than int has, so that the value fits.
		v, err := strconv.ParseUint(num.String(), 10, strconv.IntSize-1)
		if err != nil {
			return nil, p.errorf("%s has %s, expected a whole number from 0", what, num)
		}
		list = append(list, int(v))
	}
}

// header reads the whole header; the tensors have no data yet.
func (p *parser) header() (*File, []entry, error) {
	f := &File{}
	var entries []entry
	err := p.object("the header", func(key string) error {
		if key == metadataKey {
			f.Metadata = map[string]string{}
			return p.object(metadataKey, func(k string) error {
				v, err := p.text(fmt.Sprintf("%s value %q", metadataKey, k))
				f.Metadata[k] = v
				return err
			})
		}
		t, e, err := p.tensor(key)
		f.Tensors = append(f.Tensors, t)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, p.errorf("something follows the header's closing '}'")
	}
	return f, entries, nil
}

// tensor reads the value of a tensor's entry.
func (p *parser) tensor(name string) (Tensor, entry, error) {
	t := Tensor{Name: name}
	e := entry{offset: p.offset()}
	what := fmt.Sprintf("tensor %q", name)
	var offsets []int
	err := p.object(what, func(key string) (err error) {
		switch key {
		case "dtype":
			t.DType, err = p.text(what + ": dtype")
		case "shape":
			t.Shape, err = p.numbers(what + ": shape")
		case "data_offsets":
			offsets, err = p.numbers(what + ": data_offsets")
			if err == nil && len(offsets) != 2 {
				err = p.errorf("%s: data_offsets has %d numbers, expected 2", what, len(offsets))
			}
		default:
			err = p.errorf("%s has the unknown key %q", what, key)
		}
		return err
	})
	if err != nil {
		return t, e, err
	}
	switch {
	case t.DType == "":
		return t, e, p.errorf("%s has no dtype", what)
	case t.Shape == nil:
		return t, e, p.errorf("%s has no shape", what)
	case offsets == nil:
		return t, e, p.errorf("%s has no data_offsets", what)
	}
	e.begin, e.end = offsets[0], offsets[1]
	return t, e, nil
}
