package models

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"ninvk/dataset"
)

// ParseMean reads the mean of each channel, of values from 0 to 1, out of "0.5,0.4,0.3" for red, green and blue; one
// number stands for all channels, see Spread.
func ParseMean(text string) ([]float64, error) { return parseValues(text, 0) }

// ParseStd is ParseMean for the standard deviation, which must be above 0.
func ParseStd(text string) ([]float64, error) { return parseValues(text, leastStd) }

// leastStd is the smallest deviation that images are divided by.
const leastStd = 1e-6

func parseValues(text string, least float64) ([]float64, error) {
	parts := strings.Split(text, ",")
	if len(parts) != 1 && len(parts) != 3 {
		return nil, errors.New("must be one number, or 3 with commas between them")
	}
	v := make([]float64, len(parts))
	for i := range v {
		part := strings.TrimSpace(parts[i])
		var err error
		if v[i], err = strconv.ParseFloat(part, 64); err != nil {
			return nil, fmt.Errorf("%q is not a number", part)
		}
		if !(v[i] >= least && v[i] <= 1) { // and NaN
			return nil, fmt.Errorf("%v must be from %v to 1; of values from 0 to 255 it is to be divided by 255", v[i],
				least)
		}
	}
	return v, nil
}

// Spread gives so many channels a value each: one stands for all.
func Spread(v []float64, channels int) ([]float64, error) {
	switch len(v) {
	case channels:
		return v, nil
	case 1:
		return slices.Repeat(v, channels), nil
	}
	return nil, fmt.Errorf("has %d numbers; the images have %s", len(v), kindOf(channels))
}

// kindOf says in words how many channels images have.
func kindOf(channels int) string {
	if channels == 1 {
		return "1 channel, grey"
	}
	return fmt.Sprintf("%d channels", channels)
}

// Values are numbers as ParseMean reads them.
func Values(v []float64) string {
	var parts []string
	for _, x := range v {
		parts = append(parts, fmt.Sprintf("%g", x))
	}
	return strings.Join(parts, ",")
}

// ParseClasses reads the names of classes, by index: out of a file that has one a line, as cifar10.ClassesFile, else
// out of "cat,dog".
func ParseClasses(text string) ([]string, error) {
	info, err := os.Stat(text)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return nil, errors.New("is no file; name one with a class a line, or the classes themselves with commas " +
			"between them")
	case err == nil:
		names, err := dataset.ReadClasses(text)
		if err != nil {
			return nil, err
		}
		return names, nil
	case !strings.Contains(text, ","):
		if e := (*fs.PathError)(nil); errors.As(err, &e) {
			err = e.Err
		}
		return nil, fmt.Errorf("%w; name a file with a class a line, or the classes themselves with commas between "+
			"them", err)
	}
	return dataset.ParseClasses(strings.ReplaceAll(text, ",", "\n"))
}
