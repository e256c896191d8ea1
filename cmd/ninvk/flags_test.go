package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"ninvk/train"
)

// docs/flags.md is made of the program's own declarations.
func TestFlagsPage(t *testing.T) {
	const mend = "go test ./cmd/ninvk -run TestFlagsPage -update"
	page := filepath.Join("..", "..", "docs", "flags.md")
	want := flagsPage(mend)
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/flags.md is not what the program has (-program +page); %s makes it anew:\n%s", mend, diff)
	}
	for flag := range train.FlagTexts() {
		if !strings.Contains(want, "`--"+flag+"=") && !strings.Contains(want, "`--"+flag+"`") &&
			!strings.Contains(want, "`--[no-]"+flag+"`") {
			t.Errorf("docs/flags.md lacks --%s", flag)
		}
	}
}

// flagsPage is the page of all commands with their arguments and flags.
func flagsPage(mend string) string {
	var c cli
	var b strings.Builder
	model := newParser(&c).Model
	fmt.Fprintf(&b, "# Commands and flags\n\nWhat `--help` after a command says, and more of `train`'s flags. This page "+
		"is made of the program by\n`%s`.\n\nEvery command takes\n\n", mend)
	flagTable(&b, model.Flags, nil)
	for _, n := range model.Leaves(true) {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n```\nninvk %s\n```\n", n.FullPath(), n.Help, n.Summary())
		if len(n.Positional) > 0 {
			b.WriteString("\n| argument | is | default |\n|---|---|---|\n")
		}
		for _, p := range n.Positional {
			tableRow(&b, p.Summary(), p.Help, p.Default)
		}
		texts := map[string]train.FlagText{}
		if n.Name == "train" {
			texts = train.FlagTexts()
			b.WriteString("\nFlags win over the file of `--config`, the file over the recipe. The flags' names without " +
				"`--` are the file's keys.\n")
		}
		if flags := visible(n.Flags); len(flags) > 0 {
			b.WriteString("\n")
			flagTable(&b, flags, texts)
		}
	}
	return b.String()
}

func visible(flags []*kong.Flag) []*kong.Flag {
	var out []*kong.Flag
	for _, f := range flags {
		if !f.Hidden {
			out = append(out, f)
		}
	}
	return out
}

// saidDefault matches a help text that ends in what holds without the flag.
var saidDefault = regexp.MustCompile(`^(.*) \(default: (.*)\)\.$`)

// flagTable writes a row for each flag, with a text of its own where there is one.
func flagTable(b *strings.Builder, flags []*kong.Flag, texts map[string]train.FlagText) {
	b.WriteString("| flag | sets | default |\n|---|---|---|\n")
	for _, f := range flags {
		name := f.String()
		if f.Tag.Negatable != "" {
			name = "--[no-]" + f.Name
		}
		text, own := texts[f.Name]
		if !own {
			text = train.FlagText{Text: f.Help, Default: f.Default}
			if m := saidDefault.FindStringSubmatch(f.Help); m != nil {
				text = train.FlagText{Text: m[1] + ".", Default: m[2]}
			}
		}
		tableRow(b, name, text.Text, text.Default)
	}
}

func tableRow(b *strings.Builder, name, text, standard string) {
	plain := strings.NewReplacer("|", `\|`, "*", `\*`)
	marked := strings.NewReplacer("|", `\|`)
	if !strings.Contains(text, "`") {
		marked = plain
	}
	name = strings.ReplaceAll(name, "|", `\|`)
	fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, marked.Replace(text), plain.Replace(standard))
}
