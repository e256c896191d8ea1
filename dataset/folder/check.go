package folder

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"ninvk/dataset"
	"ninvk/picture"
)

// facts are what one look at a file tells.
type facts struct {
	Kind    kind
	Sum     [sha256.Size]byte // of the file
	W, H    uint32            // pixels of the image, as it is to be seen
	Colour  bool              // it has a pixel that is not grey
	Problem string            // of a broken one
	Size    int64             // of the file, in bytes
	Time    int64             // of its last change, in nanoseconds since 1970; 0 where the file could not be read
}

type kind uint8

const (
	anImage kind = iota
	broken       // an image that can't be decoded
	noImage      // something else, which is passed over
)

// look reads and decodes a file. buffer is memory for its bytes, which is returned, grown or not.
func look(name string, buffer []byte) (facts, []byte) {
	data, info, err := picture.ReadBytes(name, buffer)
	if err != nil {
		f := facts{Kind: broken, Problem: "cannot be read: " + err.Error()}
		if !picture.IsImage(name, nil) {
			f.Kind = noImage
		}
		return f, buffer
	}
	f := facts{Size: info.Size(), Time: info.ModTime().UnixNano()}
	if !picture.IsImage(name, data) {
		f.Kind, f.Problem = noImage, "is no image"
		return f, data
	}
	f.Sum = sha256.Sum256(data)
	img, err := picture.DecodeBytes(data)
	if err != nil {
		f.Kind, f.Problem = broken, err.Error()
		return f, data
	}
	b := img.Bounds()
	f.W, f.H = uint32(b.Dx()), uint32(b.Dy())
	f.Colour = !picture.Grey(img)
	return f, data
}

// saveEvery is how often what is known is kept while files are looked at, so that a check that is ended goes on.
const saveEvery = 20 * time.Second

// check looks at every file of a collection, on all cores; what is known of a file from an earlier time is taken where
// it has not changed since.
func (c *collection) check(o dataset.Options) [][]facts {
	known := openIndex(c.root)
	all := make([][]facts, len(c.parts))
	total := 0
	for k, p := range c.parts {
		all[k] = make([]facts, len(p.items))
		total += len(p.items)
	}
	begun, saved, done, looked := time.Now(), time.Now(), 0, 0
	lasting := func(f facts) bool { return f.Time != 0 && begun.Sub(time.Unix(0, f.Time)) > youngest }
	rows := maps.Clone(known.rows)
	for a := range c.lookAtAll(known) {
		all[a.part][a.at] = a.facts
		done++
		if !a.fresh {
			continue
		}
		looked++
		if lasting(a.facts) {
			rows[c.parts[a.part].items[a.at].path] = a.facts
		}
		if time.Since(saved) > saveEvery {
			saved = time.Now()
			known.keep(rows)
		}
		if o.Progress != nil {
			o.Progress(fmt.Sprintf("checking %s", dataset.Counted(total, "file")), done, total)
		}
	}
	if looked > 0 { // now without files that are gone
		rows = map[string]facts{}
		for k, p := range c.parts {
			for i, item := range p.items {
				if lasting(all[k][i]) {
					rows[item.path] = all[k][i]
				}
			}
		}
		known.keep(rows)
	}
	return all
}

// place is a file of a collection.
type place struct{ part, at int }

// answer is what was found out about a file.
type answer struct {
	place
	facts
	fresh bool // from the file itself
}

// lookAtAll finds out about all files, in whatever order.
func (c *collection) lookAtAll(known *index) <-chan answer {
	places := c.places()
	answers := make(chan answer, 64)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			var buffer []byte
			for {
				p, more := places()
				if !more {
					return
				}
				path := c.parts[p.part].items[p.at].path
				name := locate(c.root, path)
				f, ok := known.of(path, name)
				if !ok {
					f, buffer = look(name, buffer)
				}
				answers <- answer{p, f, !ok}
			}
		})
	}
	go func() {
		workers.Wait()
		close(answers)
	}()
	return answers
}

// places gives every file once, to whoever asks.
func (c *collection) places() func() (place, bool) {
	var n atomic.Int64
	return func() (place, bool) {
		i := int(n.Add(1)) - 1
		for k, p := range c.parts {
			if i < len(p.items) {
				return place{k, i}, true
			}
			i -= len(p.items)
		}
		return place{}, false
	}
}

// keep saves what was found out, if it can be.
func (x *index) keep(rows map[string]facts) {
	if err := x.save(rows); err != nil {
		slog.Warn("what was found out about the images can't be kept, so that the next start looks at all again",
			"error", err)
	}
}
