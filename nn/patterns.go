package nn

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Freeze gives the rates of a network some of whose parameters are frozen: those whose names a pattern of the list
// fits. Patterns are separated by commas, * in them stands for any characters, dots among them: "conv1*,layer1.*". A
// pattern that fits no parameter is an error, and so is a list that leaves none to train.
func (g *Graph) Freeze(list string) (Rates, error) {
	r := Rates{}
	for _, pattern := range items(list) {
		names, err := g.matching(pattern)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			r[name] = 0
		}
	}
	if err := r.check(g); err != nil {
		return nil, err
	}
	return r, nil
}

// Scale gives the rates of a network some of whose parameters learn faster or slower: a list of PATTERN=FACTOR with
// patterns as in Freeze. Where several fit a parameter, the last one counts.
func (g *Graph) Scale(list string) (Rates, error) {
	r := Rates{}
	for _, item := range items(list) {
		pattern, text, given := strings.Cut(item, "=")
		if !given {
			return nil, fmt.Errorf("%.100q has no factor; PATTERN=FACTOR is expected, such as layer1.*=0.1", item)
		}
		factor, err := strconv.ParseFloat(strings.TrimSpace(text), 32)
		switch {
		case err != nil || math.IsNaN(factor) || math.IsInf(factor, 0) || factor < 0:
			return nil, fmt.Errorf("the factor in %.100q is not a number above 0", item)
		case factor == 0:
			return nil, fmt.Errorf("the factor in %.100q is 0; parameters that are to stay as they are, are for --freeze", item)
		}
		names, err := g.matching(strings.TrimSpace(pattern))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			r[name] = factor
		}
	}
	return r, nil
}

// And gives the rates of both; where both have one for a parameter, that of other counts.
func (r Rates) And(other Rates) Rates {
	both := Rates{}
	maps.Copy(both, r)
	maps.Copy(both, other)
	return both
}

// items are those of a list, without space around them.
func items(list string) []string {
	if strings.TrimSpace(list) == "" {
		return nil
	}
	parts := strings.Split(list, ",")
	for i, s := range parts {
		parts[i] = strings.TrimSpace(s)
	}
	return parts
}

// matching are the names of the parameters that a pattern fits.
func (g *Graph) matching(pattern string) ([]string, error) {
	if pattern == "" {
		return nil, errors.New("there is an empty pattern; what is expected are names of parameters, with * for any " +
			"characters")
	}
	var names, all []string
	for _, p := range g.Params() {
		if !p.Trained() {
			continue
		}
		all = append(all, p.Name)
		if fits(pattern, p.Name) {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%.100q fits no parameter of the network; near it are %s", pattern,
			strings.Join(near(pattern, all), ", "))
	}
	return names, nil
}

// fits says whether a name is what the pattern says, * being any characters.
func fits(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return name == pattern
	}
	if len(name) < len(first)+len(last) || !strings.HasPrefix(name, first) || !strings.HasSuffix(name, last) {
		return false
	}
	name = name[len(first) : len(name)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(name, part)
		if at < 0 {
			return false
		}
		name = name[at+len(part):]
	}
	return true
}

// mostNear is how many patterns an error tells of.
const mostNear = 5

// near are patterns that fit some of the names, those first that differ the least from the given one.
func near(pattern string, names []string) []string {
	known := map[string]bool{}
	var all []string
	add := func(s string) {
		if !known[s] {
			known[s] = true
			all = append(all, s)
		}
	}
	for _, name := range names {
		for at, c := range name {
			if c == '.' {
				add(name[:at] + ".*")
			}
		}
		add(name)
	}
	slices.SortStableFunc(all, func(a, b string) int {
		return cmp.Compare(levenshtein.ComputeDistance(pattern, a), levenshtein.ComputeDistance(pattern, b))
	})
	return all[:min(len(all), mostNear)]
}
