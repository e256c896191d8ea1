//go:build !js

package picture

import (
	"image"
	"image/color"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/image/font"
)

func TestScripts(t *testing.T) {
	f := fonts().regular
	for _, c := range []struct{ text, want string }{
		{"Äpfel, ябълка, μήλο → 93 %", "Äpfel, ябълка, μήλο → 93 %"},
		{"猫 ねこ ネコ 고양이 马 馬", "猫 ねこ ネコ 고양이 马 馬"},
		{"e\u0301te\u0301", "été"},           // as macOS writes names of files
		{"שלום עולם 12 %", "םלוע םולש 12 %"}, // words from right to left, and nothing else
		{"is سلام", "is \ufee1\ufefc\ufeb3"}, // Arabic's letters have forms by their neighbours; the last two join
		{"แมว", `\u0e41\u0e21\u0e27`},        // in none of the fonts
		{"cat\U0001f600\ufe0f", `cat\U0001f600`},
	} {
		got := visual(f, c.text)
		if got != c.want {
			t.Errorf("%q is drawn as %q (%+q), want %q (%+[4]q)", c.text, got, got, c.want)
		}
		for _, r := range got {
			if _, ok := f.GlyphAdvance(r); !ok {
				t.Errorf("%q is drawn with %q, which no font has", c.text, r)
			}
		}
	}
}

// Every character leaves its own ink: none is the box that stands for what a font lacks.
func TestScriptsAreDrawn(t *testing.T) {
	drawn := func(face font.Face, text string) *image.RGBA {
		img := image.NewRGBA(image.Rect(0, 0, 60, lineHeight))
		write(img, face, color.Black, text, 0, 0, 0)
		return img
	}
	for name, face := range map[string]font.Face{"regular": fonts().regular, "title": fonts().title,
		"small": fonts().small} {
		seen := map[string]rune{}
		for _, r := range "aЖΩ猫狗ねネ고양שע马馬" {
			pixels := string(drawn(face, string(r)).Pix)
			if other, ok := seen[pixels]; ok {
				t.Errorf("%s: %q looks like %q", name, r, other)
			}
			seen[pixels] = r
		}
	}
	if cmp.Equal(drawn(fonts().regular, "猫").Pix, drawn(fonts().regular, "\u0e41").Pix) {
		t.Error("a character that no font has looks like one that a font has")
	}
}
