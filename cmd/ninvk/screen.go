package main

import (
	"fmt"
	"math"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// onTerminal says whether progress is read by a person as it happens.
func onTerminal() bool { return openScreen(os.Stderr).terminal }

// screen is where text goes.
type screen struct {
	file     *os.File
	terminal bool // one that knows how to clear a line
	color    bool
}

func openScreen(f *os.File) screen {
	t := term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
	return screen{f, t, t && os.Getenv("NO_COLOR") == ""} // https://no-color.org
}

// width is the number of columns, as many as wanted where it is no terminal.
func (s screen) width() int {
	if w, _, err := term.GetSize(int(s.file.Fd())); s.terminal && err == nil && w > 0 {
		return w
	}
	return math.MaxInt
}

// Colours, as codes of ECMA-48's SGR.
const (
	bold  = "1"
	faint = "2"
	green = "32"
	cyan  = "36"
)

// paint colours a text where the screen has colours.
func (s screen) paint(code, text string) string {
	if !s.color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// clearing writes to a screen after it has cleared the line that shows progress.
type clearing struct{ screen }

func (c clearing) Write(b []byte) (int, error) {
	if c.terminal {
		fmt.Fprint(c.file, "\r\x1b[K")
	}
	return c.file.Write(b)
}

// wrap breaks a text at its spaces into lines of at most width characters where it can be done.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
