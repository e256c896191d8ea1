package folder

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"ninvk/dataset"
)

// are is dataset.Counted with the verb.
func are(n int, noun string) string {
	return dataset.Counted(n, noun) + map[bool]string{true: " is", false: " are"}[n == 1]
}

// have is dataset.Counted with the verb.
func have(n int, noun string) string {
	return dataset.Counted(n, noun) + map[bool]string{true: " has", false: " have"}[n == 1]
}

// named are the first texts of a list, a line each.
func named(list []string) string {
	text := "  " + strings.Join(list[:min(len(list), mostNamed)], "\n  ")
	if more := len(list) - mostNamed; more > 0 {
		text += fmt.Sprintf("\n  and %s more", dataset.Thousands(more))
	}
	return text
}

// shown is a name as it can be printed.
func shown(name string) string {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return name
}
