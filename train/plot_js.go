package train

import (
	"errors"
	"image"
)

// plots is empty: a page draws the curves itself, and the fonts that a picture takes are megabytes to download.
var plots []plotted

// writePictures does nothing, for the same reason: a page shows filters and samples as it is told of them.
func (r *Run) writePictures(Observation, []image.Image, []string) error { return nil }

// PlotRuns is for programs that are not in a page.
func PlotRuns([]Curves, string) ([]byte, error) {
	return nil, errors.New("runs are compared in a picture by the ninvk of a command line, not in a browser")
}
