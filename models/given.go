package models

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"ninvk/dataset"
)

// ParseMean reads the mean of red, green and blue, of values from 0 to 1, out of "0.5,0.4,0.3"; one number stands for
// all three.
func ParseMean(text string) ([3]float64, error) { return parseValues(text, 0) }

// ParseStd is ParseMean for the standard deviation, which must be above 0.
func ParseStd(text string) ([3]float64, error) { return parseValues(text, leastStd) }

// leastStd is the smallest deviation that images are divided by.
const leastStd = 1e-6

func parseValues(text string, least float64) (v [3]float64, err error) {
	parts := strings.Split(text, ",")
	if len(parts) != 1 && len(parts) != len(v) {
		return v, fmt.Errorf("must be one number, or %d with commas between them", len(v))
	}
	for i := range v {
		part := strings.TrimSpace(parts[min(i, len(parts)-1)])
		if v[i], err = strconv.ParseFloat(part, 64); err != nil {
			return v, fmt.Errorf("%q is not a number", part)
		}
		if !(v[i] >= least && v[i] <= 1) { // and NaN
			return v, fmt.Errorf("%v must be from %v to 1; of values from 0 to 255 it is to be divided by 255", v[i],
				least)
		}
	}
	return v, nil
}

// Values is three numbers as ParseMean reads them.
func Values(v [3]float64) string { return fmt.Sprintf("%g,%g,%g", v[0], v[1], v[2]) }

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
