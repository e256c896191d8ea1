package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/models"
	"ninvk/train"
)

// helpNames are the commands, or the flags, that a help text lists.
func helpNames(t *testing.T, pattern string, command ...string) []string {
	t.Helper()
	_, help, _ := run(t, "", append(command, "--help")...)
	var names []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(help, -1) {
		names = append(names, m[1])
	}
	if len(names) == 0 {
		t.Fatalf("no names in the help of %q:\n%s", command, help)
	}
	return names
}

// flagPattern matches a flag in a help text.
const flagPattern = `(?m)^ +(?:-\w, +)?--(?:\[no-\])?([a-z0-9-]+)`

// commandWords are the commands without subcommands, as `data fetch`.
func commandWords(t *testing.T) []string {
	return helpNames(t, `(?m)^  ([a-z]+(?: [a-z]+)?)(?:  | \[| <|$)`)
}

func TestCandidates(t *testing.T) {
	top := map[string]bool{}
	for _, command := range commandWords(t) {
		first, _, _ := strings.Cut(command, " ")
		top[first] = true
	}
	var commands []string
	for _, name := range candidateWords(t, "") {
		commands = append(commands, name)
		if !top[name] {
			t.Errorf("%s is offered, which is no command", name)
		}
		delete(top, name)
	}
	if len(top) > 0 || len(commands) < 10 {
		t.Errorf("of the commands only %q are offered, %v are not", commands, top)
	}
	for _, c := range []struct {
		words []string
		want  []string
	}{
		{[]string{"tr"}, []string{"train"}},
		{[]string{"data", ""}, []string{"fetch", "verify", "pack", "inspect"}},
		{[]string{"data", "fetch", "fashion"}, []string{"fashion-mnist"}},
		{[]string{"train", "--model", ""}, models.Names()},
		{[]string{"train", "--model=nin"}, []string{"--model=nin", "--model=nin-bn", "--model=nin-imagenet"}},
		{[]string{"train", "--serve", ":8080", "--recipe", ""}, train.Recipes()},
		{[]string{"train", "--stream", "a"}, []string{"auto", "always"}},
		{[]string{"train", "--data", "photos"}, nil}, // the shell has files
		{[]string{"train", "--json"}, nil},
		{[]string{"eval", "--js"}, []string{"--json"}},
		{[]string{"eval", "--", "--js"}, nil},
		{[]string{"recipes", ""}, []string{"list", "show"}},
		{[]string{"completion", ""}, []string{"bash", "zsh", "fish"}},
		{[]string{"nothing", "tr"}, []string{"train"}},
	} {
		if diff := cmp.Diff(c.want, candidateWords(t, c.words...)); diff != "" {
			t.Errorf("after %q (-want +offered):\n%s", c.words, diff)
		}
	}
	for _, command := range commandWords(t) {
		words := strings.Fields(command)
		offered := candidateWords(t, append(words, "--")...)
		for _, flag := range helpNames(t, flagPattern, words...) {
			if !slices.Contains(offered, "--"+flag) {
				t.Errorf("%s: --%s is not offered", command, flag)
			}
		}
	}
}

// candidateWords are what the program offers for the last of some words.
func candidateWords(t *testing.T, words ...string) []string {
	t.Helper()
	code, out, errs := run(t, "", append([]string{"completion", "bash", "--"}, words...)...)
	if code != 0 {
		t.Fatalf("completion of %q ends with %d: %s", words, code, errs)
	}
	var found []string
	for line := range strings.Lines(out) {
		word, _, tab := strings.Cut(line, "\t")
		if !tab {
			t.Errorf("a line of candidates without a tab: %q", line)
		}
		found = append(found, word)
	}
	return found
}

// What a shell would do with the words before the cursor, and print what it then offers, a line each, sorted.
var shellAsks = map[string]string{
	"bash": `source <(ninvk completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
"$(complete -p ninvk | sed 's/.*-F \([^ ]*\).*/\1/')"
printf '%s\n' "${COMPREPLY[@]}"`,
	"zsh": `compdef() { registered=$1 }
source <(ninvk completion zsh)
_describe() { print -l -- ${${(P)2}%%:*} }
_files() { print files }
words=("$@") CURRENT=$#
$registered`,
	"fish": `ninvk completion fish | source
complete -C "$argv" | cut -f 1`,
}

// TestShellsComplete: those of the shells that are here read their script and offer what the program does.
func TestShellsComplete(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Fatal("the tests need bash, as make does")
	}
	for shell, asks := range shellAsks {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("no %s here", shell)
			continue
		}
		for _, c := range []struct {
			line []string
			want string
		}{
			{[]string{"ninvk", "tra"}, "train"},
			{[]string{"ninvk", "data", "v"}, "verify"},
			{[]string{"ninvk", "train", "--no-tu"}, "--no-tune"},
			{[]string{"ninvk", "train", "--model", "lenet"}, "lenet5"},
		} {
			args := []string{"-c", asks, shell}
			if shell == "fish" { // it completes a line
				args = []string{"--no-config", "-c", asks, strings.Join(c.line, " ")}
			} else {
				args = append(args, c.line...)
			}
			cmd := exec.Command(path, args...)
			cmd.Dir = t.TempDir()
			cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", shell, err, out)
			}
			if got := strings.TrimSpace(string(out)); got != c.want {
				t.Errorf("%s offers %q for %q, want %q", shell, got, c.line, c.want)
			}
		}
	}
}

func TestManualPage(t *testing.T) {
	_, page, _ := run(t, "", "man")
	plain := strings.NewReplacer(`\-`, "-", `\e`, `\`).Replace(page)
	for _, command := range commandWords(t) {
		_, section, found := strings.Cut(plain, "\n.SS ninvk "+command)
		if !found {
			t.Errorf("the manual page has no ninvk %s", command)
			continue
		}
		section, _, _ = strings.Cut(section, "\n.SS ")
		for _, flag := range helpNames(t, flagPattern, strings.Fields(command)...) {
			row := regexp.MustCompile(`(?m)^\.B (-\w, |.*, )?--` + flag + `(\W|$)`)
			if !row.MatchString(section) && flag != "help" && flag != "log-level" { // those of all commands
				t.Errorf("the manual page's ninvk %s lacks --%s", command, flag)
			}
		}
	}
	for _, flag := range []string{"--help", "--log-level"} {
		if before, _, _ := strings.Cut(plain, "\n.SH COMMANDS"); !strings.Contains(before, flag) {
			t.Errorf("the manual page lacks %s before its commands", flag)
		}
	}
	file := filepath.Join(t.TempDir(), "ninvk.1")
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, reader := range [][]string{
		{"man", "--warnings", "-l", file}, {"groff", "-man", "-ww", "-Tutf8", "-P-cbou", file},
	} {
		if _, err := exec.LookPath(reader[0]); err != nil {
			t.Logf("no %s here", reader[0])
			continue
		}
		var text, errs bytes.Buffer
		cmd := exec.Command(reader[0], reader[1:]...)
		cmd.Stdout, cmd.Stderr = &text, &errs
		if err := cmd.Run(); err != nil || errs.Len() > 0 {
			t.Errorf("%q: %v\n%s", reader, err, &errs)
		}
		if !strings.Contains(text.String(), "EXIT STATUS") {
			t.Errorf("%q shows no such page: %.300s", reader, &text)
		}
	}
}

func TestRoff(t *testing.T) {
	for text, want := range map[string]string{
		`--a "b" \c`:  `\-\-a \(dqb\(dq \ec`,
		".begins":     `\&.begins`,
		"'begins":     `\&'begins`,
		"4×4…\nlines": `4\[u00D7]4\[u2026] lines`,
	} {
		if got := roff(text); got != want {
			t.Errorf("roff(%q) = %q, want %q", text, got, want)
		}
	}
}

// The table of exit codes in the docs has the words of the program.
func TestExitMeanings(t *testing.T) {
	page, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range exitMeanings {
		row := regexp.MustCompile(`(?m)^\| ` + strconv.Itoa(e.code) + ` \| (.*) \|$`).FindSubmatch(page)
		if row == nil {
			t.Errorf("docs/commands.md has no exit code %d", e.code)
			continue
		}
		if diff := cmp.Diff(e.means, strings.ReplaceAll(string(row[1]), "`", "")); diff != "" {
			t.Errorf("exit code %d (-exitMeanings +docs/commands.md):\n%s", e.code, diff)
		}
	}
}
