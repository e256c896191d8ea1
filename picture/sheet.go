package picture

import (
	"image"
	"image/color"

	"golang.org/x/image/draw"
)

// Ink is the colour of text, Wrong that of what is not right.
var (
	Ink   = color.RGBA{0x22, 0x22, 0x22, 0xff}
	Wrong = color.RGBA{0xb2, 0x18, 0x2b, 0xff}
	paper = color.RGBA{0xff, 0xff, 0xff, 0xff}
)

// Sizes in pixels.
const (
	margin     = 16
	textSize   = 15
	smallSize  = 11
	titleSize  = 19
	lineHeight = 20
	ascent     = 15
)

// Line is a line of a caption.
type Line struct {
	Text  string
	Color color.RGBA // the zero colour is Ink
}

// Tile is a picture with its caption below.
type Tile struct {
	Image   image.Image
	Caption []Line
}

// Sheet lays tiles out in rows of columns tiles, under a title, and above a foot (nil: none).
func Sheet(title string, columns int, tiles []Tile, foot image.Image) *image.RGBA {
	columns = max(1, min(columns, len(tiles)))
	var w, h, lines int
	for _, t := range tiles {
		w, h, lines = max(w, t.Image.Bounds().Dx()), max(h, t.Image.Bounds().Dy()), max(lines, len(t.Caption))
	}
	rows := (len(tiles) + columns - 1) / columns
	cellW, cellH := w+margin, h+lines*lineHeight+margin
	if lines > 0 {
		cellH += 4
	}
	f := fonts()
	width := max(columns*cellW+margin, measure(f.title, title)+2*margin)
	top := margin
	if title != "" {
		top += titleSize + margin
	}
	height := top + rows*cellH
	if foot != nil {
		width = max(width, foot.Bounds().Dx()+2*margin)
		height += foot.Bounds().Dy() + margin
	}
	out := blank(width, height)
	write(out, f.title, Ink, title, width/2, margin, 0.5)
	left := (width - columns*cellW + margin) / 2
	for i, t := range tiles {
		x, y := left+i%columns*cellW, top+i/columns*cellH
		b := t.Image.Bounds()
		draw.Draw(out, image.Rect(x, y, x+b.Dx(), y+b.Dy()).Add(image.Pt((w-b.Dx())/2, 0)), t.Image, b.Min, draw.Over)
		for k, l := range t.Caption {
			c := l.Color
			if c == (color.RGBA{}) {
				c = Ink
			}
			write(out, f.regular, c, clip(f.regular, l.Text, w+margin-4), x+w/2, y+h+4+k*lineHeight, 0.5)
		}
	}
	if foot != nil {
		b := foot.Bounds()
		at := image.Pt((width-b.Dx())/2, height-margin-b.Dy())
		draw.Draw(out, image.Rectangle{at, at.Add(b.Size())}, foot, b.Min, draw.Src)
	}
	return out
}

// Thumbnail is an image to be looked at whose longer side has size pixels, or nearly so: of a smaller one every pixel
// is repeated as often as fits, a larger one is shrunk.
func Thumbnail(img image.Image, size int) *image.RGBA {
	b := img.Bounds()
	longer := max(b.Dx(), b.Dy())
	if longer <= size {
		return Enlarge(img, size/longer)
	}
	out := image.NewRGBA(image.Rect(0, 0, max(1, b.Dx()*size/longer), max(1, b.Dy()*size/longer)))
	draw.CatmullRom.Scale(out, out.Bounds(), img, b, draw.Src, nil)
	return out
}

func blank(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(img, img.Bounds(), image.NewUniform(paper), image.Point{}, draw.Src)
	return img
}

// Stack puts pictures of one width below each other.
func Stack(images ...image.Image) *image.RGBA {
	const gap = 4
	var w, h int
	for _, i := range images {
		w, h = max(w, i.Bounds().Dx()), h+i.Bounds().Dy()+gap
	}
	out := blank(w, h-gap)
	y := 0
	for _, i := range images {
		b := i.Bounds()
		draw.Draw(out, image.Rect(0, y, b.Dx(), y+b.Dy()), i, b.Min, draw.Over)
		y += b.Dy() + gap
	}
	return out
}

// Scale is the legend of a ramp, with a text at either end and one in the middle.
func Scale(r Ramp, low, middle, high string) *image.RGBA {
	const width, bar = 420, 14
	out := blank(width, bar+lineHeight)
	for x := range width {
		for y := range bar {
			out.SetRGBA(x, y, r.At(float64(x)/(width-1)))
		}
	}
	f := fonts().regular
	write(out, f, Ink, low, 0, bar+2, 0)
	write(out, f, Ink, middle, width/2, bar+2, 0.5)
	write(out, f, Ink, high, width, bar+2, 1)
	return out
}

// Enlarge repeats every pixel factor times each way.
func Enlarge(img image.Image, factor int) *image.RGBA {
	b := img.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, b.Dx()*factor, b.Dy()*factor))
	draw.NearestNeighbor.Scale(out, out.Bounds(), img, b, draw.Src, nil)
	return out
}
