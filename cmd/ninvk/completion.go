package main

import (
	"cmp"
	"embed"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCommand has a shell ask the program itself what may come next, so that the answer is always that of the
// version that is installed.
type completionCommand struct {
	Shell string   `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
	Words []string `arg:"" optional:"" help:"What the script asks with: the words typed so far, the last to be completed."`
}

// bridges are the scripts that carry words from a shell to the program and candidates back.
//
//go:embed completion
var bridges embed.FS

// Run prints a shell's script, or the candidates for a word, a line each, with a tab before what they are.
func (c completionCommand) Run(parsed *kong.Context, vars kong.Vars) error {
	if len(c.Words) == 0 {
		script, err := bridges.Open("completion/" + c.Shell)
		if err != nil {
			return err
		}
		defer script.Close()
		_, err = io.Copy(stdout, script)
		return err
	}
	for _, found := range candidates(parsed.Model.Node, vars, c.Words) {
		fmt.Fprintf(stdout, "%s\t%s\n", found.word, found.is)
	}
	return nil
}

// candidate is a word that may stand where the cursor is.
type candidate struct{ word, is string }

// candidates are what the last word may become. Where there is none the shell offers files.
func candidates(program *kong.Node, vars kong.Vars, words []string) []candidate {
	last := words[len(words)-1]
	at, pending, flags := walk(program, words[:len(words)-1])
	var all []candidate
	name, _, assigned := strings.Cut(last, "=")
	switch {
	case pending != nil:
		all = values(pending, vars, "")
	case assigned && flags:
		if f := flagNamed(at, name); f != nil {
			all = values(f, vars, name+"=")
		}
	case strings.HasPrefix(last, "-") && flags:
		for _, f := range flagsOf(at) {
			all = append(all, candidate{"--" + f.Name, firstSentence(f.Help)})
			if negation := negated(f); negation != "" {
				all = append(all, candidate{"--" + negation, "not: " + firstSentence(f.Help)})
			}
		}
	default:
		for _, c := range at.Children {
			if !c.Hidden {
				all = append(all, candidate{c.Name, firstSentence(c.Help)})
			}
		}
		for _, p := range at.Positional {
			all = append(all, alternatives(p, p.Tag.PlaceHolder, vars, "")...)
		}
	}
	return slices.DeleteFunc(all, func(c candidate) bool { return !strings.HasPrefix(c.word, last) })
}

// walk goes down from the program by the words before the last, to the command that they name, the flag that still
// wants a value, and whether flags may come.
func walk(program *kong.Node, words []string) (at *kong.Node, pending *kong.Flag, flags bool) {
	at, flags = program, true
	for _, w := range words {
		switch {
		case pending != nil:
			pending = nil
		case w == "--":
			flags = false
		case strings.HasPrefix(w, "-") && flags:
			if f := flagNamed(at, w); f != nil && !f.IsBool() {
				pending = f
			}
		default:
			if i := slices.IndexFunc(at.Children, func(c *kong.Node) bool { return c.Name == w }); i >= 0 {
				at = at.Children[i]
			}
		}
	}
	return at, pending, flags
}

// flagsOf are the flags that a command takes: its own first, then those of all.
func flagsOf(n *kong.Node) []*kong.Flag {
	var all []*kong.Flag
	for _, group := range slices.Backward(n.AllFlags(true)) {
		all = append(all, group...)
	}
	return all
}

// flagNamed is the flag of a command that a word is, or nil.
func flagNamed(n *kong.Node, word string) *kong.Flag {
	for _, f := range flagsOf(n) {
		if word == "--"+f.Name || f.Short != 0 && word == "-"+string(f.Short) {
			return f
		}
	}
	return nil
}

// negated is the name under which a flag is turned off, or "".
func negated(f *kong.Flag) string {
	switch f.Tag.Negatable {
	case "":
		return ""
	case "_": // kong's mark for the usual name
		return "no-" + f.Name
	}
	return f.Tag.Negatable
}

// values are a flag's, as far as its declaration tells them.
func values(f *kong.Flag, vars kong.Vars, before string) []candidate {
	return alternatives(f.Value, f.PlaceHolder, vars, before)
}

// alternatives are the words that a declaration lists: by an enum, in its placeholder with lines between them (where
// words in capitals stand for something), or by a list of names in its help, which a variable holds.
func alternatives(v *kong.Value, placeholder string, vars kong.Vars, before string) []candidate {
	var words []string
	if v.Enum != "" {
		words = append(words, v.EnumSlice()...)
	}
	if strings.Contains(placeholder, "|") {
		for _, w := range strings.Split(placeholder, "|") {
			if w == strings.ToLower(w) {
				words = append(words, w)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if list := vars[name]; names.MatchString(list) && strings.Contains(v.Help, list) {
			words = append(words, strings.Split(list, ", ")...)
		}
	}
	var out []candidate
	for _, w := range words {
		out = append(out, candidate{before + w, ""})
	}
	return out
}

// names matches a list of names, which a variable may hold.
var names = regexp.MustCompile(`^[a-z0-9-]+(, [a-z0-9-]+)+$`)

// firstSentence is as much of a help text as fits beside a candidate.
func firstSentence(help string) string {
	first, _, _ := strings.Cut(help, ". ")
	first, _, _ = strings.Cut(first, " (default")
	return cmp.Or(strings.TrimSuffix(first, "."), help)
}
