package dataset

import (
	"crypto/sha256"
	"math"
	"slices"
)

// Facts are what is known of an image as it is stored, before it is fitted.
type Facts struct {
	Width, Height int
	SHA256        [sha256.Size]byte // of its content: the same for identical images
}

// Describer is a source that knows more of its images than their values.
type Describer interface{ Describe(i int) Facts }

// Inspection is what there is to know of a set before it is trained on.
type Inspection struct {
	Name       string       `json:"name"`
	Format     string       `json:"format"`
	Classes    []ClassCount `json:"classes"`
	Train      int          `json:"train"` // images
	Test       int          `json:"test"`
	Imbalance  float64      `json:"imbalance"` // training images of the largest class to those of the smallest
	Widths     Range        `json:"widths"`    // as stored, in pixels
	Heights    Range        `json:"heights"`
	Channels   int          `json:"channels"`
	Size       int          `json:"size"` // pixels a side, at which mean and deviation are taken; of arrays, their height
	Mean       []float64    `json:"mean"` // of the training images' channels, from 0 to 1
	Std        []float64    `json:"std"`
	Duplicates Duplicates   `json:"duplicates"`
	Broken     []string     `json:"broken"` // images that can't be read
	Notes      []string     `json:"notes"`
}

// ClassCount is how many images a class has.
type ClassCount struct {
	Class string `json:"class"`
	Train int    `json:"train"`
	Test  int    `json:"test"`
}

// Range is how numbers lie.
type Range struct {
	Min    int `json:"min"`
	Median int `json:"median"`
	Max    int `json:"max"`
}

// Duplicates are identical images. Each list has one line of names a content.
type Duplicates struct {
	Train  [][]string `json:"within_train"`
	Test   [][]string `json:"within_test"`
	Splits [][]string `json:"across_splits"`  // seen in training, and tested with
	Labels [][]string `json:"across_classes"` // with different labels
}

// Inspect reads all images of a set. Progress may be nil.
func Inspect(s *Set, progress func(stage string, done, total int)) (*Inspection, error) {
	n := &Inspection{Name: s.Name, Format: s.Format, Train: s.Train.Len(), Test: s.Test.Len(), Channels: s.Channels,
		Size: s.Train.Shape.H, Classes: make([]ClassCount, len(s.Classes)), Broken: append([]string{}, s.Broken...),
		Notes: append([]string{}, s.Notes...)}
	for i, name := range s.Classes {
		n.Classes[i].Class = name
	}
	for _, label := range s.Train.Labels {
		n.Classes[label].Train++
	}
	for _, label := range s.Test.Labels {
		n.Classes[label].Test++
	}
	least, most := math.MaxInt, 0
	for _, c := range n.Classes {
		least, most = min(least, c.Train), max(most, c.Train)
	}
	n.Imbalance = float64(most) / float64(max(least, 1))

	var widths, heights []int
	type place struct {
		test bool
		i    int
	}
	contents := map[[sha256.Size]byte][]place{}
	total := n.Train + n.Test
	sums, squares := make([]uint64, s.Channels), make([]uint64, s.Channels)
	done := 0
	for k, split := range []Split{s.Train, s.Test} {
		test := k == 1
		describe, described := split.Source.(Describer)
		if described && test {
			for i := range split.Len() { // nothing of their values is asked for
				f := describe.Describe(i)
				widths, heights = append(widths, f.Width), append(heights, f.Height)
				contents[f.SHA256] = append(contents[f.SHA256], place{test, i})
			}
			continue
		}
		const batch = 64
		r := NewReader(split, batch)
		order := Order(0, 0, split.Len(), false)
		r.Start(order, batch)
		one, plane := split.Shape.Bytes(), split.Shape.H*split.Shape.W
		for at := 0; at < split.Len(); {
			pixels, err := r.Next()
			if err != nil {
				r.Close()
				return nil, err
			}
			for k := range min(batch, split.Len()-at) {
				image := pixels[k*one:][:one]
				f := Facts{Width: split.Shape.W, Height: split.Shape.H}
				if described {
					f = describe.Describe(at)
				} else {
					f.SHA256 = sha256.Sum256(image)
				}
				widths, heights = append(widths, f.Width), append(heights, f.Height)
				contents[f.SHA256] = append(contents[f.SHA256], place{test, at})
				for i := 0; i < one && !test; i++ {
					v := uint64(image[i])
					sums[i/plane], squares[i/plane] = sums[i/plane]+v, squares[i/plane]+v*v
				}
				at++
				if done++; progress != nil {
					progress("reading the images", done, total)
				}
			}
		}
		r.Close()
	}
	values := float64(n.Train) * float64(s.Train.Shape.H*s.Train.Shape.W)
	for c := range sums {
		mean := float64(sums[c]) / values
		n.Mean = append(n.Mean, mean/255)
		n.Std = append(n.Std, math.Sqrt(max(0, float64(squares[c])/values-mean*mean))/255)
	}
	n.Widths, n.Heights = rangeOf(widths), rangeOf(heights)

	d := &n.Duplicates
	d.Train, d.Test, d.Splits, d.Labels = [][]string{}, [][]string{}, [][]string{}, [][]string{} // not null as JSON
	for _, places := range contents {
		if len(places) < 2 {
			continue
		}
		var names [2][]string
		var all []string
		labels := map[uint16]bool{}
		for _, p := range places {
			split, k := s.Train, 0
			if p.test {
				split, k = s.Test, 1
			}
			names[k] = append(names[k], split.Name(p.i))
			labels[split.Labels[p.i]] = true
		}
		all = slices.Concat(names[0], names[1])
		if len(names[0]) > 1 {
			d.Train = append(d.Train, names[0])
		}
		if len(names[1]) > 1 {
			d.Test = append(d.Test, names[1])
		}
		if len(names[0]) > 0 && len(names[1]) > 0 {
			d.Splits = append(d.Splits, all)
		}
		if len(labels) > 1 {
			d.Labels = append(d.Labels, all)
		}
	}
	for _, list := range [][][]string{d.Train, d.Test, d.Splits, d.Labels} {
		slices.SortFunc(list, slices.Compare)
	}
	return n, nil
}

func rangeOf(list []int) Range {
	slices.Sort(list)
	return Range{list[0], list[len(list)/2], list[len(list)-1]}
}
