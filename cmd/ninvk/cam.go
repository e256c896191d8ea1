package main

import (
	"fmt"
	"image"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ninvk/models"
	"ninvk/picture"
	"ninvk/train"
)

// Of pictures of class maps.
const (
	camSize    = 192 // pixels a side of an image
	camColumns = 5
	mostOnCam  = 100 // images in one picture
)

// cam draws class maps; a nil one draws nothing.
type cam struct {
	out     string
	sheet   bool // one picture of all
	model   string
	class   int // -1: the most probable one
	name    string
	method  string // of the maps, known from the first on
	tiles   []picture.Tile
	written map[string]bool // files in a folder
}

// openCam checks --cam before any work.
func (c predictCommand) openCam(n *models.Network, inputs []input) (*cam, error) {
	if c.Cam == "" {
		return nil, nil
	}
	if err := c.overwrites(inputs); err != nil {
		return nil, err
	}
	m := &cam{out: c.Cam, model: n.Model, class: slices.Index(n.Classes, c.Class), name: c.Class,
		written: map[string]bool{}, sheet: isPNG(c.Cam)}
	if info, err := os.Stat(c.Cam); picture.HasExtension(c.Cam) && !m.sheet && (err != nil || !info.IsDir()) {
		return nil, &train.UsageError{Flag: "--cam", Value: shown(c.Cam),
			Problem: "the picture is a PNG: name a file that ends in .png, or a folder"}
	}
	if !m.sheet {
		if err := os.MkdirAll(c.Cam, 0o755); err != nil {
			return nil, &train.UsageError{Flag: "--cam", Value: c.Cam, Problem: "can't be made: " + reason(err).Error()}
		}
		return m, nil
	}
	if images := len(inputs); images > mostOnCam {
		return nil, &train.UsageError{Flag: "--cam", Value: c.Cam,
			Problem: fmt.Sprintf("%d images are too many for one picture (at most %d); name a folder instead of a .png file",
				images, mostOnCam)}
	}
	return m, checkOutput("--cam", c.Cam)
}

// overwrites says where --cam might write over an image.
func (c predictCommand) overwrites(inputs []input) error {
	out, err := os.Stat(c.Cam)
	if err != nil { // nothing is there
		return nil
	}
	for _, in := range inputs {
		path, problem := in.path, "is one of the images; name another file"
		if out.IsDir() {
			path, problem = filepath.Dir(in.path),
				shown(in.path)+" is in this folder, where a map might take its place; name another folder"
		}
		if in.path != stdin && isFile(out, path) {
			return &train.UsageError{Flag: "--cam", Value: c.Cam, Problem: problem}
		}
	}
	return nil
}

// isFile says whether a path leads to the file or folder that info is of.
func isFile(info os.FileInfo, path string) bool {
	other, err := os.Stat(path)
	return path != stdin && err == nil && os.SameFile(info, other)
}

// keeps refuses to write over what is read; what says what that is.
func keeps(flag, out, in, what string) error {
	if info, err := os.Stat(out); err == nil && isFile(info, in) {
		return &train.UsageError{Flag: flag, Value: out, Problem: "is " + what + "; name another file"}
	}
	return nil
}

// add draws an image and its map.
func (m *cam) add(path string, img *image.RGBA, e models.Explanation) error {
	told := e.Predictions[0]
	for _, p := range e.Predictions {
		if p.Index == e.Map.Index {
			told = p
		}
	}
	heat, err := picture.Heat(img, e.Map.H, e.Map.W, e.Map.Values, picture.MostOf(e.Map.Values))
	if err != nil {
		return err
	}
	m.method = e.Map.Method
	name := filepath.Base(path)
	if path == stdin {
		name = "stdin"
	}
	t := picture.Tile{Image: picture.Stack(img, heat), Caption: []picture.Line{
		{Text: shown(name)}, {Text: told.Class + " " + wholePercent(told.Probability)},
	}}
	if m.sheet {
		m.tiles = append(m.tiles, t)
		return nil
	}
	stem := strings.TrimSuffix(name, filepath.Ext(name))
	file := stem + ".png"
	for i := 2; m.written[file]; i++ {
		file = fmt.Sprintf("%s-%d.png", stem, i)
	}
	m.written[file] = true
	t.Image = picture.Grid(2, 4, []image.Image{img, heat})
	t.Caption = append(t.Caption, picture.Line{Text: e.Map.Method + " of " + m.model + ", " + e.Map.Layer})
	return picture.WritePNG(filepath.Join(m.out, file), picture.Sheet("", 1, []picture.Tile{t}, m.scale()))
}

// scale is the legend; Grad-CAM tells only what speaks for a class.
func (m *cam) scale() image.Image {
	if m.method == models.GradCAM {
		return picture.HeatScale(0, "0", "", "speaks for the class")
	}
	return picture.HeatScale(-1, "speaks against the class", "0", "speaks for it")
}

// finish writes the picture of all images, if there were any.
func (m *cam) finish() error {
	if m == nil || !m.sheet || len(m.tiles) == 0 {
		return nil
	}
	title := "Class activation maps of " + m.model
	if m.method == models.GradCAM {
		title = models.GradCAM + " of " + m.model
	}
	if m.class >= 0 {
		title += ", class " + m.name
	}
	return picture.WritePNG(m.out, picture.Sheet(title, camColumns, m.tiles, m.scale()))
}

// wholePercent is a probability for a caption.
func wholePercent(p float64) string { return fmt.Sprintf("%.0f %%", 100*p) }
