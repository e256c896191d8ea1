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
		Size: s.Train.Shape.H, Broken: append([]string{}, s.Broken...), Notes: append([]string{}, s.Notes...)}
	n.Classes, n.Imbalance = countClasses(s)
	v := &survey{set: s, contents: map[[sha256.Size]byte][]place{}, sums: make([]uint64, s.Channels),
		squares: make([]uint64, s.Channels)}
	v.progress = func() {
		if progress != nil {
			progress("reading the images", v.read, n.Train+n.Test)
		}
	}
	for _, test := range []bool{false, true} {
		if err := v.split(test); err != nil {
			return nil, err
		}
	}
	n.Mean, n.Std = v.meanAndStd()
	n.Widths, n.Heights = rangeOf(v.widths), rangeOf(v.heights)
	n.Duplicates = v.duplicates()
	return n, nil
}

// countClasses says how many images each class has, and the most of a class to the least, among those of training.
func countClasses(s *Set) (classes []ClassCount, imbalance float64) {
	classes = make([]ClassCount, len(s.Classes))
	for i, name := range s.Classes {
		classes[i].Class = name
	}
	for _, label := range s.Train.Labels {
		classes[label].Train++
	}
	for _, label := range s.Test.Labels {
		classes[label].Test++
	}
	least, most := math.MaxInt, 0
	for _, c := range classes {
		least, most = min(least, c.Train), max(most, c.Train)
	}
	return classes, float64(most) / float64(max(least, 1))
}

// survey is what is gathered of a set's images while they are read.
type survey struct {
	set             *Set
	widths, heights []int
	contents        map[[sha256.Size]byte][]place // where each content is
	sums, squares   []uint64                      // of the training images' values, by channel
	read            int                           // images
	progress        func()                        // told of each image read
}

// place is an image of a set.
type place struct {
	test bool
	i    int
}

func (v *survey) splitOf(test bool) Split {
	if test {
		return v.set.Test
	}
	return v.set.Train
}

// split gathers what there is to know of one split.
func (v *survey) split(test bool) error {
	split := v.splitOf(test)
	describe, described := split.Source.(Describer)
	if described && test {
		for i := range split.Len() { // nothing of their values is asked for
			v.note(place{test, i}, describe.Describe(i))
		}
		return nil
	}
	const batch = 64
	r := NewReader(split, batch)
	defer r.Close()
	r.Start(Order(0, 0, split.Len(), false), batch)
	one := split.Shape.Bytes()
	for at := 0; at < split.Len(); {
		pixels, err := r.Next()
		if err != nil {
			return err
		}
		for k := range min(batch, split.Len()-at) {
			image := pixels[k*one:][:one]
			f := Facts{Width: split.Shape.W, Height: split.Shape.H}
			if described {
				f = describe.Describe(at)
			} else {
				f.SHA256 = sha256.Sum256(image)
			}
			v.note(place{test, at}, f)
			if !test {
				v.add(image)
			}
			at++
			v.read++
			v.progress()
		}
	}
	return nil
}

func (v *survey) note(p place, f Facts) {
	v.widths, v.heights = append(v.widths, f.Width), append(v.heights, f.Height)
	v.contents[f.SHA256] = append(v.contents[f.SHA256], p)
}

// add counts the values of a training image.
func (v *survey) add(image []byte) {
	plane := v.set.Train.Shape.H * v.set.Train.Shape.W
	for i, b := range image {
		value := uint64(b)
		v.sums[i/plane], v.squares[i/plane] = v.sums[i/plane]+value, v.squares[i/plane]+value*value
	}
}

// meanAndStd are those of the training images' channels, from 0 to 1.
func (v *survey) meanAndStd() (means, deviations []float64) {
	values := float64(v.set.Train.Len()) * float64(v.set.Train.Shape.H*v.set.Train.Shape.W)
	for c := range v.sums {
		mean := float64(v.sums[c]) / values
		means = append(means, mean/255)
		deviations = append(deviations, math.Sqrt(max(0, float64(v.squares[c])/values-mean*mean))/255)
	}
	return means, deviations
}

// duplicates names the images whose content is there more than once.
func (v *survey) duplicates() Duplicates {
	d := Duplicates{[][]string{}, [][]string{}, [][]string{}, [][]string{}} // not null as JSON
	for _, places := range v.contents {
		if len(places) < 2 {
			continue
		}
		var train, test []string
		labels := map[uint16]bool{}
		for _, p := range places {
			split, names := v.splitOf(p.test), &train
			if p.test {
				names = &test
			}
			*names = append(*names, split.Name(p.i))
			labels[split.Labels[p.i]] = true
		}
		all := slices.Concat(train, test)
		if len(train) > 1 {
			d.Train = append(d.Train, train)
		}
		if len(test) > 1 {
			d.Test = append(d.Test, test)
		}
		if len(train) > 0 && len(test) > 0 {
			d.Splits = append(d.Splits, all)
		}
		if len(labels) > 1 {
			d.Labels = append(d.Labels, all)
		}
	}
	for _, list := range [][][]string{d.Train, d.Test, d.Splits, d.Labels} {
		slices.SortFunc(list, slices.Compare)
	}
	return d
}

func rangeOf(list []int) Range {
	slices.Sort(list)
	return Range{list[0], list[len(list)/2], list[len(list)-1]}
}
