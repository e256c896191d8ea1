package folder

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// count is a number with the noun in its form.
func count(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "s"):
		noun += "es"
	default:
		noun += "s"
	}
	return fmt.Sprintf("%s %s", thousands(n), noun)
}

// are is count with the verb.
func are(n int, noun string) string {
	return count(n, noun) + map[bool]string{true: " is", false: " are"}[n == 1]
}

// have is count with the verb.
func have(n int, noun string) string {
	return count(n, noun) + map[bool]string{true: " has", false: " have"}[n == 1]
}

// thousands is a number with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// some are the first texts of a list, in one line.
func some(list []string) string {
	const most = 3
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %s more", strings.Join(list[:most], ", "), thousands(len(list)-most))
}

// named are the first texts of a list, a line each.
func named(list []string) string {
	text := "  " + strings.Join(list[:min(len(list), mostNamed)], "\n  ")
	if more := len(list) - mostNamed; more > 0 {
		text += fmt.Sprintf("\n  and %s more", thousands(more))
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
