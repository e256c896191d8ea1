package train

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Sizes is progressive resizing: the first part of a run trains on smaller images, which cost a share of the work, and
// the rest on those of the run's own size. The networks end in global average pooling, so the weights are the same at
// any size.
type Sizes []sizePhase

// sizePhase is a stretch of a run.
type sizePhase struct {
	pixels int     // a side
	until  float64 // share of the run's steps done when it ends
}

// end is the step before which it ends; the last step always has the run's own size.
func (p sizePhase) end(totalSteps int) int {
	return min(int(math.Ceil(p.until*float64(totalSteps))), max(0, totalSteps-1))
}

// ParseSizes reads SIZE:SHARE,… such as 16:0.6,24:0.3: pixels a side, and for which share of all steps. What the shares
// leave over, which must be something, is trained at the run's own size. An empty text means no other size. The error
// is a *UsageError.
func ParseSizes(spec string) (Sizes, error) {
	if spec == "" {
		return nil, nil
	}
	bad := func(problem string) (Sizes, error) {
		return nil, &UsageError{"--sizes", strconv.Quote(spec), problem}
	}
	var s Sizes
	done := 0.0
	for phase := range strings.SplitSeq(spec, ",") {
		pixels, share, ok := strings.Cut(phase, ":")
		if !ok {
			return bad("expected SIZE:SHARE,… such as 16:0.6,24:0.3")
		}
		n, err := strconv.Atoi(pixels)
		if err != nil || n < 1 || n > maxResize {
			return bad(fmt.Sprintf("the size is %q, expected from 1 to %d pixels", pixels, maxResize))
		}
		f, err := strconv.ParseFloat(share, 64)
		if err != nil || !(f > 0 && f < 1) {
			return bad(fmt.Sprintf("the share is %q, expected a number between 0 and 1", share))
		}
		done += f
		s = append(s, sizePhase{n, done})
	}
	if done > 0.999 {
		return bad("the shares must leave some steps for the run's own size: together at most 0.999")
	}
	return s, nil
}

// At is the size of the images of a step, which counts from 0, in a run of totalSteps whose own size is full, and the
// first step of the stretch of that size. No size is above full, and the last step always has that.
func (s Sizes) At(step, totalSteps, full int) (size, since int) {
	start := 0
	stretch := func(pixels int) {
		if pixels != size {
			size, since = pixels, start
		}
	}
	for _, p := range s {
		stretch(min(p.pixels, full))
		if start = p.end(totalSteps); step < start {
			return size, since
		}
	}
	stretch(full)
	return size, since
}

// Work is about what the steps from one on, up to another, take of a run of totalSteps, in steps of its own size, full:
// a step takes time by its pixels.
func (s Sizes) Work(from, to, totalSteps, full int) float64 {
	work, start := 0.0, 0
	stretch := func(pixels, end int) {
		steps := min(end, to) - max(start, from)
		work += float64(max(0, steps)) * float64(pixels*pixels) / float64(full*full)
		start = end
	}
	for _, p := range s {
		stretch(min(p.pixels, full), p.end(totalSteps))
	}
	stretch(full, totalSteps)
	return work
}

// above is an error where a stretch is not of smaller images than the run's own, full pixels a side. spec is what s was
// read from.
func (s Sizes) above(spec string, full int) error {
	for _, p := range s {
		if p.pixels >= full {
			return &UsageError{"--sizes", strconv.Quote(spec), fmt.Sprintf(
				"%d pixels are not below the run's own size, %d (--resize); leave this stretch out, or give a larger --resize",
				p.pixels, full)}
		}
	}
	return nil
}

// trimSizes leaves out the stretches at the end that are not below full, which changes nothing but the text.
func trimSizes(spec string, full int) string {
	s, err := ParseSizes(spec)
	if err != nil {
		return spec
	}
	texts := strings.Split(spec, ",")
	for len(s) > 0 && s[len(s)-1].pixels >= full {
		s = s[:len(s)-1]
	}
	return strings.Join(texts[:len(s)], ",")
}

// Below lists the sizes that are smaller than full.
func (s Sizes) Below(full int) []int {
	var sizes []int
	for _, p := range s {
		if p.pixels < full && !slices.Contains(sizes, p.pixels) {
			sizes = append(sizes, p.pixels)
		}
	}
	return sizes
}
