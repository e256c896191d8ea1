//go:build !js

package train

import (
	"fmt"
	"image"

	"ninvk/picture"
)

// samplesSheet draws images with what the network said of them.
func samplesSheet(images []image.Image, verdicts []Verdict, classes []string) image.Image {
	tiles := make([]picture.Tile, len(verdicts))
	for i, v := range verdicts {
		said := picture.Line{Text: fmt.Sprintf("%s %.0f %%", classes[v.Predicted], 100*v.Probability)}
		if v.Predicted != v.True {
			said.Color = picture.Wrong
		}
		tiles[i] = picture.Tile{Image: images[v.Image], Caption: []picture.Line{said, {Text: "is " + classes[v.True]}}}
	}
	return picture.Sheet("", 5, tiles, nil)
}

// writePictures adds the filters of the first layer and, where the epoch was evaluated, samples with what the network
// said of them.
func (r *Run) writePictures(o Observation, samples []image.Image, classes []string) error {
	if err := r.WritePicture(tagFilters, picture.Filters(o.Conv.M, o.Conv.C, o.Conv.K, o.Filters)); err != nil {
		return err
	}
	if o.Verdicts == nil {
		return nil
	}
	return r.WritePicture(tagPredictions, samplesSheet(samples, o.Verdicts, classes))
}
