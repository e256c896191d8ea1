package picture

import (
	"fmt"
	"image"
	"image/color"
	"regexp"
	"strings"
	"sync"
	"unicode"

	"github.com/hajimehoshi/bitmapfont/v3"
	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
)

// fonts of titles, of everything else, and of what has little room.
var fonts = sync.OnceValue(func() (f struct{ regular, small, title font.Face }) {
	face := func(ttf []byte, size float64) font.Face {
		parsed, err := opentype.Parse(ttf)
		if err != nil {
			panic(err) // a font that is part of the program
		}
		face, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingNone})
		if err != nil {
			panic(err)
		}
		return manyScripts{face}
	}
	f.regular, f.title = face(goregular.TTF, textSize), face(gobold.TTF, titleSize)
	f.small = face(goregular.TTF, smallSize)
	return f
})

// manyScripts is a face with the glyphs of a bitmap font, of one size, where it has none of its own: names of classes and
// of files are in any script.
type manyScripts struct{ font.Face }

// of is the face that has a glyph for the character.
func (f manyScripts) of(r rune) font.Face {
	if _, ok := f.Face.GlyphAdvance(r); !ok && hasBitmap(r) {
		return bitmapfont.FaceSC
	}
	return f.Face
}

func (f manyScripts) Glyph(dot fixed.Point26_6, r rune) (image.Rectangle, image.Image, image.Point, fixed.Int26_6,
	bool) {
	return f.of(r).Glyph(dot, r)
}

func (f manyScripts) GlyphBounds(r rune) (fixed.Rectangle26_6, fixed.Int26_6, bool) {
	return f.of(r).GlyphBounds(r)
}

func (f manyScripts) GlyphAdvance(r rune) (fixed.Int26_6, bool) { return f.of(r).GlyphAdvance(r) }

// hasBitmap says whether the bitmap font draws anything for a character: it gives a width for all.
func hasBitmap(r rune) bool {
	at, mask, from, _, ok := bitmapfont.FaceSC.Glyph(fixed.Point26_6{}, r)
	if !ok {
		return false
	}
	for y := range at.Dy() {
		for x := range at.Dx() {
			if _, _, _, a := mask.At(from.X+x, from.Y+y).RGBA(); a > 0 {
				return true
			}
		}
	}
	return false
}

// rightToLeft are words of scripts that are written so. What is around them, such as a probability behind a name, stays
// where it is.
var rightToLeft = regexp.MustCompile(`[\p{Hebrew}\p{Arabic}][\p{Hebrew}\p{Arabic}\p{Mn} ]*[\p{Hebrew}\p{Arabic}\p{Mn}]`)

// visual is a text as it is drawn, from left to right: in composed form, words written from right to left turned and with
// Arabic's forms of letters, and characters that no font has by their code, as \u0e44; but marks and what joins others,
// which are left out.
func visual(face font.Face, text string) string {
	text = rightToLeft.ReplaceAllStringFunc(norm.NFC.String(text), func(part string) string {
		return bitmapfont.PresentationForms(part, bitmapfont.DirectionRightToLeft, language.Und)
	})
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
