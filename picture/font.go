package picture

import (
	"fmt"
	"image"
	"image/color"
	"strings"
	"unicode"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/math/fixed"
)

// faces are the fonts of titles, of everything else, and of what has little room.
type faces struct{ regular, small, title font.Face }

// visual is a text as it is drawn, from left to right: in composed form, words written from right to left turned and
// with Arabic's forms of letters, and characters that no font has by their code, as \u0e44; but marks and what joins
// others, which are left out.
func visual(face font.Face, text string) string {
	text = reordered(text)
	var b strings.Builder
	for _, r := range text {
		_, ok := face.GlyphAdvance(r)
		switch {
		case ok:
			b.WriteRune(r)
		case unicode.In(r, unicode.Mn, unicode.Cf):
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// measure is the width of a text in pixels.
func measure(face font.Face, text string) int {
	return font.MeasureString(face, visual(face, text)).Ceil()
}

// write draws a line of text whose middle (align 0.5), left (0) or right (1) end is at x, and whose top is at y.
func write(img draw.Image, face font.Face, c color.Color, text string, x, y int, align float64) {
	text = visual(face, text)
	d := font.Drawer{Dst: img, Src: image.NewUniform(c), Face: face}
	left := fixed.I(x) - fixed.Int26_6(align*float64(d.MeasureString(text)))
	d.Dot = fixed.Point26_6{X: left, Y: fixed.I(y + ascent)}
	d.DrawString(text)
}

// clip shortens a text to a width in pixels, in its middle: the end of a file's name tells as much as its beginning.
func clip(face font.Face, text string, width int) string {
	if measure(face, text) <= width {
		return text
	}
	r := []rune(text)
	for keep := len(r) - 1; keep > 1; keep-- {
		short := string(r[:(keep+1)/2]) + "…" + string(r[len(r)-keep/2:])
		if measure(face, short) <= width {
			return short
		}
	}
	return "…"
}
