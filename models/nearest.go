package models

import (
	"cmp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Nearest are those of the names that are the most like the one given, the nearest first, most of them at most; all, in
// their order, where there are no more than that.
func Nearest(given string, names []string, most int) []string {
	if len(names) <= most {
		return names
	}
	sorted := slices.SortedStableFunc(slices.Values(names), func(a, b string) int { return nearer(given, a, b) })
	return sorted[:most]
}

// nearer compares two names by how far they are from the one that was given: those that hold it come first, then those
// of which the fewest letters must be changed.
func nearer(given, a, b string) int {
	given, a, b = strings.ToLower(given), strings.ToLower(a), strings.ToLower(b)
	if holds := strings.Contains(a, given); holds != strings.Contains(b, given) {
		if holds {
			return -1
		}
		return 1
	}
	return cmp.Compare(levenshtein.ComputeDistance(given, a), levenshtein.ComputeDistance(given, b))
}
