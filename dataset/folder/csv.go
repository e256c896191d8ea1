package folder

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"ninvk/dataset"
	"ninvk/picture"
)

// Table is a table in CSV that names images: path, label, and perhaps the split; or a folder with one such table.
var Table = dataset.Format{Name: "a table of images in CSV (path,label,split)", Is: isTable, Open: openTable}

const tableHint = "a line for each image is expected: path,label or path,label,split (train, or val or test), " +
	"the path relative to the table"

// tableIn is the table that a path names: a file, or the only one of a folder.
func tableIn(name string) (string, bool) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return "", false
	case info.Mode().IsRegular():
		return name, true
	case !info.IsDir():
		return "", false
	}
	_, files, _, err := list(name)
	if err != nil {
		return "", false
	}
	files = slices.DeleteFunc(files, func(f string) bool {
		extension := strings.ToLower(filepath.Ext(f))
		return extension != ".csv" && extension != ".tsv"
	})
	if len(files) != 1 {
		return "", false
	}
	return filepath.Join(name, files[0]), true
}

// isTable says whether the first lines of a file name an image beside the table: one that is there, or that has the
// name of an image.
func isTable(name string) bool {
	file, ok := tableIn(name)
	if !ok {
		return false
	}
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	begin := make([]byte, 1<<16)
	n, _ := io.ReadFull(f, begin) // short where the file is
	if n == cap(begin) {          // without the line that is not whole
		n = bytes.LastIndexByte(begin, '\n') + 1
	}
	begin = begin[:n]
	if bytes.IndexByte(begin, 0) >= 0 {
		return false
	}
	t, err := parseTable(bytes.NewReader(begin))
	if err != nil || len(t.rows) == 0 {
		return false
	}
	// The first line may be a heading of unknown names.
	return slices.ContainsFunc(t.rows[:min(len(t.rows), 2)], func(r row) bool {
		if file == name && picture.HasExtension(r.path) {
			return true
		}
		full := locate(filepath.Dir(file), r.path)
		return picture.IsImage(full, head(full)) && exists(full)
	})
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// row is a line of a table.
type row struct {
	line  int
	path  string // with slashes
	label string
	split string // train, test or "": as normal
}

// table is what a file lists.
type table struct {
	rows    []row
	heading bool // it has one
	assumed int  // the line that is taken for one, though its names are unknown
	split   bool // the rows have splits
}

// lineError is what is wrong with a line.
type lineError struct {
	line    int
	problem string
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.problem) }

// headings are what the columns of a table are called, in small letters, where they have a heading.
var headings = struct{ path, label, split []string }{
	[]string{"path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img", "image_id",
		"id"},
	[]string{"label", "class", "category", "target", "class_name", "label_name", "labels"},
	[]string{"split", "set", "subset", "partition", "fold"},
}

// parseTable reads a table: separated by commas, semicolons or tabs, fields with or without quotes, with or without a
// heading, which may name the columns in any order; columns beyond these are not read. What is wrong is a *lineError.
func parseTable(r io.Reader) (table, error) {
	b := bufio.NewReader(r)
	if mark, _ := b.Peek(3); string(mark) == "\ufeff" {
		if _, err := b.Discard(3); err != nil {
			return table{}, err
		}
	}
	first, _ := b.Peek(b.Size()) // short where the file is
	lines := csv.NewReader(b)
	lines.Comma = separator(first)
	lines.FieldsPerRecord = -1
	lines.LazyQuotes = false
	lines.ReuseRecord = true
	p := &tableParser{}
	for n := 0; ; n++ {
		fields, err := lines.Read()
		if err == io.EOF {
			return p.table, nil
		}
		if e := (*csv.ParseError)(nil); errors.As(err, &e) {
			return table{}, &lineError{e.Line, e.Err.Error()}
		}
		if err != nil {
			return table{}, err
		}
		if n == 0 && p.takeHeading(fields) {
			continue
		}
		line, _ := lines.FieldPos(0)
		if problem := p.addRow(line, fields, n == 0); problem != "" {
			return table{}, &lineError{line, problem}
		}
	}
}

// tableParser is a table that is being read.
type tableParser struct {
	table
	width              int // fields of a line; 0 before the first one
	path, label, split int // columns; the split's is negative where there is none
}

// takeHeading says whether the first line is a heading of known names, which tell the columns.
func (p *tableParser) takeHeading(fields []string) bool {
	at := func(names []string) int {
		return slices.IndexFunc(fields, func(f string) bool {
			return slices.Contains(names, strings.ToLower(strings.TrimSpace(f)))
		})
	}
	path, label := at(headings.path), at(headings.label)
	if path < 0 || label < 0 {
		p.path, p.label, p.split = 0, 1, 2
		return false
	}
	p.path, p.label, p.split = path, label, at(headings.split)
	p.width = len(fields)
	p.heading, p.table.split = true, p.split >= 0
	return true
}

// addRow takes a line into the table, or says what is wrong with it. The first one may be a heading of unknown names.
func (p *tableParser) addRow(line int, fields []string, first bool) (problem string) {
	if p.width == 0 {
		if p.width = len(fields); p.width != 2 && p.width != 3 {
			return fmt.Sprintf("it has %s; without a heading two or three are expected", dataset.Counted(p.width, "field"))
		}
		p.table.split = p.width == 3
	}
	if len(fields) != p.width {
		return fmt.Sprintf("it has %s, the lines before %d", dataset.Counted(len(fields), "field"), p.width)
	}
	for _, f := range fields {
		if !utf8.ValidString(f) {
			return "it is not valid UTF-8"
		}
	}
	r := row{line: line, path: strings.ReplaceAll(strings.TrimSpace(fields[p.path]), `\`, "/"),
		label: strings.TrimSpace(fields[p.label])}
	switch {
	case r.path == "":
		return "it names no file"
	case strings.ContainsRune(r.path, 0):
		return "the name of its file has a zero byte"
	case r.label == "":
		return "it has no label"
	}
	r.path = path.Clean(r.path)
	if p.table.split {
		s := strings.TrimSpace(fields[p.split])
		if r.split = splitOf(s); r.split == "" {
			if first { // a heading of unknown names, perhaps
				p.assumed = line
				return ""
			}
			return fmt.Sprintf("its split is %q; train, val and test are known", s)
		}
	}
	p.rows = append(p.rows, r)
	return ""
}

// splitOf is the split that a table or folder means by a name, "" where that is not known.
func splitOf(name string) string {
	for _, names := range [][]string{trainNames, validateNames, testNames} {
		if slices.Contains(names, splitName(name)) {
			return names[0]
		}
	}
	return ""
}

// separator is the one of three that the first line has most of.
func separator(head []byte) rune {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	best := ','
	for _, s := range []rune{';', '\t'} {
		if strings.Count(string(line), string(s)) > strings.Count(string(line), string(best)) {
			best = s
		}
	}
	return best
}

// order is the classes of a table, sorted: by value where all are whole numbers, else by code point.
func (t table) order() []string {
	seen := map[string]bool{}
	var classes []string
	numbers := true
	for _, r := range t.rows {
		if !seen[r.label] {
			seen[r.label] = true
			classes = append(classes, r.label)
			_, err := strconv.Atoi(r.label)
			numbers = numbers && err == nil
		}
	}
	slices.SortFunc(classes, func(a, b string) int {
		if x, y := number(a), number(b); numbers && x != y {
			return x - y
		}
		return strings.Compare(a, b)
	})
	return classes
}

func number(s string) int {
	n, _ := strconv.Atoi(s) // the caller knows whether it is one
	return n
}

func openTable(name string, o dataset.Options) (*dataset.Set, error) {
	c, err := collectTable(name)
	if err != nil {
		return nil, err
	}
	return c.open(filepath.Clean(name), o)
}

// collectTable lists what a table names.
func collectTable(name string) (*collection, error) {
	file, ok := tableIn(name)
	if !ok {
		return nil, &dataset.FileError{Path: name, Offset: -1, Problem: "there is no table in it", Hint: tableHint}
	}
	t, err := readTable(file)
	if err != nil {
		return nil, err
	}
	c := &collection{root: filepath.Dir(file), format: "a table of images", named: true}
	if first := t.rows[0]; !t.heading && !picture.HasExtension(first.path) && !exists(locate(c.root, first.path)) &&
		len(t.rows) > 1 {
		t.assumed, t.rows = first.line, t.rows[1:]
	}
	if t.assumed > 0 {
		c.notes = append(c.notes, fmt.Sprintf("line %d of %s is taken for a heading", t.assumed, filepath.Base(file)))
	}
	c.classes = t.order()
	if err := c.countable(); err != nil {
		return nil, err
	}
	parts, err := c.gather(file, t)
	if err != nil {
		return nil, err
	}
	if !t.split || len(parts) == 1 {
		for split, p := range parts {
			if split != "" {
				c.notes = append(c.notes, fmt.Sprintf("the table has the split %s alone", split))
			}
			c.parts = []part{{items: p.items}}
		}
		return c, nil
	}
	return c, c.chooseParts(file, parts)
}

// readTable reads a file that must name an image at least.
func readTable(file string) (table, error) {
	f, err := os.Open(file)
	if err != nil {
		return table{}, unreadable(file, err)
	}
	defer f.Close()
	t, err := parseTable(f)
	if e := (*lineError)(nil); errors.As(err, &e) {
		return table{}, &dataset.FileError{Path: file, Offset: -1, Problem: e.Error(), Hint: tableHint}
	}
	if err != nil {
		return table{}, unreadable(file, err)
	}
	if len(t.rows) == 0 {
		return table{}, &dataset.FileError{Path: file, Offset: -1, Problem: "it names no image", Hint: tableHint}
	}
	return t, nil
}

// gather puts the rows of a table into parts by their split. An image that comes again is passed over where it says the
// same.
func (c *collection) gather(file string, t table) (map[string]*part, error) {
	labels := map[string]uint16{}
	for i, class := range c.classes {
		labels[class] = uint16(i)
	}
	parts := map[string]*part{}
	where := map[string]row{} // by path
	for _, r := range t.rows {
		if other, ok := where[r.path]; ok {
			if other.label == r.label && other.split == r.split {
				c.passed = append(c.passed, fmt.Sprintf("line %d: %s, as line %d has it", r.line, shown(r.path), other.line))
				continue
			}
			return nil, &dataset.FileError{Path: file, Offset: -1, Hint: tableHint,
				Problem: fmt.Sprintf("line %d: %s has the label %s and the split %q here, and %s and %q in line %d", r.line,
					shown(r.path), shown(r.label), r.split, shown(other.label), other.split, other.line)}
		}
		where[r.path] = r
		if parts[r.split] == nil {
			parts[r.split] = &part{name: r.split}
		}
		parts[r.split].items = append(parts[r.split].items, item{r.path, labels[r.label]})
	}
	return parts, nil
}

// chooseParts takes what a table has to train, and the first that it has to test with.
func (c *collection) chooseParts(file string, parts map[string]*part) error {
	train := parts[trainNames[0]]
	if train == nil {
		return &dataset.FileError{Path: file, Offset: -1, Problem: "no line has the split train", Hint: tableHint}
	}
	c.parts = []part{*train}
	for _, split := range []string{validateNames[0], testNames[0]} {
		switch p := parts[split]; {
		case p == nil:
		case len(c.parts) == 1:
			c.parts = append(c.parts, *p)
		default:
			c.notes = append(c.notes, fmt.Sprintf("%s is evaluated on, %s (%s) is left alone", c.parts[1].name, split,
				dataset.Counted(len(p.items), "image")))
		}
	}
	return nil
}
