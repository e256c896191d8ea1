package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// exitMeanings says what a command's end means; the manual page and docs/commands.md have it from here.
var exitMeanings = []struct {
	code  int
	means string
}{
	{0, "success"},
	{exitOther, "another error; of predict, also that some images could not be read"},
	{exitUsage, "a flag, name or value that can't be right"},
	{exitNoAdapter, "no usable adapter; the message says how to get one"},
	{exitLost, "the adapter was lost, or can't hold what was asked for; or another process that trained with this one " +
		"was lost, where its own code is not known"},
	{exitDiverged, "training diverged: loss, gradient or weights are no longer numbers; the last good checkpoint is " +
		"named"},
	{exitBadFile, "bad input file; the message names it and what was expected"},
	{exitInterrupted, "interrupted; train finishes the current step and saves a checkpoint, weights and plots first"},
}

// manCommand writes the manual page of the commands and flags that there are.
type manCommand struct{}

// Run prints the page in the language of man(7).
func (manCommand) Run(parsed *kong.Context) error {
	_, err := stdout.Write(manualPage(parsed.Model))
	return err
}

// manualPage is a program's: what it is, its commands with their flags, and its exit codes.
func manualPage(program *kong.Application) []byte {
	var b bytes.Buffer
	p := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	p(`.TH %s 1 "" "%s %s" "User Commands"`, roff(strings.ToUpper(program.Name)), roff(program.Name), roff(version()))
	p(".SH NAME\n%s \\- %s", roff(program.Name), roff(strings.TrimSuffix(program.Help, ".")))
	p(".SH SYNOPSIS\n.B %s\n.I COMMAND\n[\\fIFLAGS\\fR]", roff(program.Name))
	p(".SH DESCRIPTION\nResults go to stdout, progress and messages to stderr.\nThese flags go with every command:")
	manualFlags(&b, program.Node.Flags)
	p(".SH COMMANDS")
	for _, command := range program.Leaves(true) {
		p(".SS %s", roff(command.FullPath()+arguments(command)))
		p("%s", roff(command.Help))
		for _, a := range command.Positional {
			if a.Help != "" {
				p(".TP\n.I %s\n%s", roff(strings.Trim(a.Summary(), "<>[].")), roff(a.Help))
			}
		}
		manualFlags(&b, command.Flags)
	}
	p(".SH EXIT STATUS")
	for _, e := range exitMeanings {
		p(".TP\n.B %d\n%s.", e.code, roff(strings.ToUpper(e.means[:1])+e.means[1:]))
	}
	return b.Bytes()
}

// arguments are those of a command beside its flags, as its help shows them.
func arguments(command *kong.Node) string {
	var b strings.Builder
	for _, a := range command.Positional {
		b.WriteString(" " + a.Summary())
	}
	return b.String()
}

// manualFlags are a paragraph a flag.
func manualFlags(b *bytes.Buffer, flags []*kong.Flag) {
	for _, f := range flags {
		if f.Hidden {
			continue
		}
		names := f.String()
		if negation := negated(f); negation != "" {
			names += ", --" + negation
		}
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(names), roff(f.Help))
	}
}

// roff is a text that man(7) shows as it is: hyphens stay what a shell takes, no line begins a request, and characters
// beyond ASCII have names that need no encoding.
func roff(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case r == '"':
			b.WriteString(`\(dq`)
		case (r == '.' || r == '\'') && i == 0:
			b.WriteString(`\&` + string(r))
		case r == '\n':
			b.WriteByte(' ')
		case r > '~':
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
