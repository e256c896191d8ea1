package picture

import "golang.org/x/image/font/basicfont"

// fonts has one of plain letters: a page writes its own text, and the fonts of all scripts are megabytes to download.
func fonts() faces { return faces{basicfont.Face7x13, basicfont.Face7x13, basicfont.Face7x13} }

// reordered leaves a text as it is.
func reordered(text string) string { return text }
