//go:build !js

package picture

import (
	"image"
	"regexp"
	"sync"

	"github.com/hajimehoshi/bitmapfont/v3"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
)

// fonts have the letters of Latin, Greek and Cyrillic, and in one size those of most other scripts.
var fonts = sync.OnceValue(func() (f faces) {
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

// manyScripts is a face with the glyphs of a bitmap font, of one size, where it has none of its own: names of classes
// and of files are in any script.
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

// reordered is a text in composed form, with words written from right to left turned, and with Arabic's forms of
// letters.
func reordered(text string) string {
	return rightToLeft.ReplaceAllStringFunc(norm.NFC.String(text), func(part string) string {
		return bitmapfont.PresentationForms(part, bitmapfont.DirectionRightToLeft, language.Und)
	})
}
