// Package ninvk_test holds the rules of the house that no compiler checks. They are who may import whom, which files
// belong together, and that the docs say what is so.
package ninvk_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

const (
	module  = "ninvk"
	binding = "github.com/rajveermalviya/go-webgpu" // of WebGPU; the seam alone imports it
	seam    = "gpu/internal/wgpu"
	twins   = "ops/ref" // float64 twins; tests alone import them
)

// room is a folder of the house.
type room struct {
	// imports never go up: a package on a floor knows those below, and its tests may use those beside it too
	floor      int
	mayImport  []string // packages of this module
	stdlibOnly bool
}

// rooms is the house. A new folder with Go files is a line here.
var rooms = map[string]room{
	".": {floor: 0},
	"cmd/ninvk": {floor: 0, mayImport: []string{"check", "bench", "tune", "serve", "web", "train", "models", "golden",
		"onnx", "nn", "ops", "gpu", "dist", "cifar10", "cifar10/published", "dataset", "dataset/archive",
		"dataset/cifar", "dataset/fetch", "dataset/folder", "dataset/idx", "dataset/packed", "page", "rng", "pth",
		"safetensors", "picture"}},
	"serve":   {floor: 0, mayImport: []string{"page", "train", "dataset", "picture"}},
	"web":     {floor: 0, mayImport: []string{"web/assets", "page", "docs/images"}},
	"cmd/web": {floor: 0, mayImport: []string{"web/worker"}},
	"web/worker": {floor: 0, mayImport: []string{"train", "tune", "models", "nn", "gpu", "cifar10", "dataset",
		"dataset/folder", "pth", "safetensors", "picture"}},
	"web/proof":  {floor: 0}, // tests alone
	"web/assets": {floor: 1, mayImport: []string{"cifar10", "models", "nn", "safetensors"}},
	"train": {floor: 1, mayImport: []string{"models", "nn", "ops", "gpu", "dist", "dataset", "rng",
		"safetensors", "picture", "tensorboard"}},
	"check": {floor: 1, mayImport: []string{"golden", "nn", "ops", "ops/cases", "gpu", "rng", "safetensors"}},
	"bench": {floor: 1, mayImport: []string{"tune", "models", "nn", "ops", "shaders", "gpu", "dist", "dataset"}},
	"tune":  {floor: 2, mayImport: []string{"nn", "ops", "ops/cases", "shaders", "gpu"}},
	"models": {floor: 2, mayImport: []string{"asset", "nin", "nn", "ops", "gpu", "cifar10", "dataset", "rng", "pth",
		"safetensors", "picture"}},
	"golden":                    {floor: 2, mayImport: []string{"nn", "ops", "gpu"}},
	"onnx":                      {floor: 2, mayImport: []string{"nn", "ops"}},
	"nin":                       {floor: 3, mayImport: []string{"nn", "ops"}},
	"nn":                        {floor: 3, mayImport: []string{"dist", "ops", "gpu", "memory"}},
	"ops":                       {floor: 4, mayImport: []string{"shaders", "gpu"}},
	"ops/cases":                 {floor: 4, mayImport: []string{"ops", "gpu"}, stdlibOnly: true},
	twins:                       {floor: 4, mayImport: []string{"ops", "ops/cases"}, stdlibOnly: true},
	"shaders":                   {floor: 5, stdlibOnly: true},
	"gpu":                       {floor: 5, mayImport: []string{seam, "promise"}},
	seam:                        {floor: 6, mayImport: []string{"promise"}},
	"asset":                     {floor: 6, mayImport: []string{"promise"}, stdlibOnly: true},
	"promise":                   {floor: 7, stdlibOnly: true},
	"cifar10":                   {floor: 3, mayImport: []string{"asset", "dataset"}},
	"cifar10/published":         {floor: 2, mayImport: []string{"cifar10", "dataset", "dataset/fetch"}},
	"cifar10/cifartest":         {floor: 4, mayImport: []string{"dataset"}}, // for tests
	"dataset/cifar":             {floor: 4, mayImport: []string{"dataset", "pth"}},
	"dataset/packed":            {floor: 4, mayImport: []string{"dataset", "safetensors"}},
	"dataset/fetch":             {floor: 4, mayImport: []string{"dataset"}},
	"dataset/idx":               {floor: 4, mayImport: []string{"dataset"}},
	"dataset/folder":            {floor: 4, mayImport: []string{"dataset", "picture"}},
	"dataset/archive":           {floor: 4, mayImport: []string{"dataset"}},
	"dataset":                   {floor: 5, mayImport: []string{"rng", "picture"}},
	"web/build":                 {floor: 0, mayImport: []string{"page"}},
	"ci/slowest":                {floor: 0, stdlibOnly: true},
	"ci/pack":                   {floor: 0, stdlibOnly: true},
	"page":                      {floor: 6, stdlibOnly: true},
	"docs/images":               {floor: 7, stdlibOnly: true},
	"ci/chromium":               {floor: 8},                   // for tests
	"ci/slow":                   {floor: 8, stdlibOnly: true}, // for tests
	"cifar10/internal/mksample": {floor: 2, mayImport: []string{"cifar10", "cifar10/published", "dataset"}},
	"pth":                       {floor: 5, mayImport: []string{"safetensors"}},
	"picture":                   {floor: 6, mayImport: []string{"codec"}},
	"codec":                     {floor: 7},
	"memory":                    {floor: 6, stdlibOnly: true},
	"rng":                       {floor: 6, stdlibOnly: true},
	"dist":                      {floor: 6, stdlibOnly: true},
	"dist/mpitest":              {floor: 8, stdlibOnly: true}, // for tests
	"safetensors":               {floor: 6},
	"tensorboard":               {floor: 6},
	"tensorboard/tbtest":        {floor: 6},
}

// goFiles are the Go files of the repository by folder.
func goFiles(t *testing.T) map[string][]string {
	t.Helper()
	byFolder := map[string][]string{}
	for _, f := range repositoryFiles(t) {
		if path.Ext(f) == ".go" {
			byFolder[path.Dir(f)] = append(byFolder[path.Dir(f)], f)
		}
	}
	if len(byFolder) == 0 {
		t.Fatal("no Go files found")
	}
	return byFolder
}

// repositoryFiles are the files that git knows or would add, slash-separated; in a copy without git, all but hidden
// ones and what the program makes.
func repositoryFiles(t *testing.T) []string {
	t.Helper()
	// The folder may belong to another user, as in containers.
	out, err := exec.Command("git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others",
		"--exclude-standard").Output()
	if err == nil {
		files := strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
		return slices.DeleteFunc(files, func(f string) bool { // deleted, but not committed yet
			i, err := os.Stat(f)
			return err != nil || i.IsDir()
		})
	}
	var files []string
	if err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && (d.Name()[0] == '.' ||
			slices.Contains([]string{"bin", "data", "runs"}, filepath.ToSlash(p))):
			return fs.SkipDir
		case d.Type().IsRegular():
			files = append(files, filepath.ToSlash(p))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return files
}

func parse(t *testing.T, file string, mode parser.Mode) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, mode)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestImportsPointDown(t *testing.T) {
	for folder, files := range goFiles(t) {
		own, known := rooms[folder]
		if !known {
			t.Errorf("folder %s is not in the table of rooms in this file: say there what it may import", folder)
			continue
		}
		for _, file := range files {
			test := strings.HasSuffix(file, "_test.go")
			for _, spec := range parse(t, file, parser.ImportsOnly).Imports {
				p, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				if problem := forbidden(folder, own, p, test); problem != "" {
					t.Errorf("%s imports %s: %s", file, p, problem)
				}
			}
		}
	}
}

// forbidden says why a file of a folder must not import a package, or "".
func forbidden(folder string, own room, imported string, test bool) string {
	first, _, _ := strings.Cut(imported, "/")
	inside, ours := strings.CutPrefix(imported, module+"/")
	switch {
	case strings.HasPrefix(imported, binding):
		if folder != seam {
			return "the WebGPU binding belongs in " + seam + " alone"
		}
	case ours && inside == folder: // a test of a package from outside
	case ours && test:
		other, known := rooms[inside]
		if !known || other.floor < own.floor {
			return "even tests must not import a package above their own"
		}
	case ours && inside == twins:
		return "the float64 twins are for tests"
	case ours && !slices.Contains(own.mayImport, inside):
		return "imports point down the table of rooms only (see this test)"
	case own.stdlibOnly && !test && strings.Contains(first, "."):
		return folder + " uses the standard library alone"
	}
	return ""
}

func TestForbidden(t *testing.T) {
	for _, c := range []struct {
		folder, imported string
		test, want       bool
	}{
		{"ops", "ninvk/nn", false, true},
		{"ops", "ninvk/nn", true, true},
		{"ops", "ninvk/ops/ref", false, true},
		{"ops", "ninvk/ops/ref", true, false},
		{"check", "ninvk/ops/ref", false, true},
		{"check", "ninvk/ops/ref", true, false},
		{"ops", "ninvk/gpu", false, false},
		{"onnx", "ninvk/gpu", false, true},
		{"onnx", "ninvk/gpu", true, false},
		{"models", "ninvk/gpu", false, false},
		{"nin", "ninvk/gpu", false, true},
		{"nin", "ninvk/models", true, true},
		{"cmd/ninvk", binding + "/wgpu", false, true},
		{"gpu", binding + "/wgpu", false, true},
		{"gpu", module + "/" + seam, false, false},
		{"nn", module + "/" + seam, false, true},
		{seam, binding + "/wgpu", false, false},
		{"shaders", "github.com/google/go-cmp/cmp", false, true},
		{"shaders", "text/template", false, false},
		{"cifar10", "ninvk/train", true, true},
	} {
		if got := forbidden(c.folder, rooms[c.folder], c.imported, c.test); (got != "") != c.want {
			t.Errorf("%s imports %s (test: %v): %q", c.folder, c.imported, c.test, got)
		}
	}
}

// TestDataSetsStayInTheirRooms: no code of these rooms knows of a certain data set; whatever it is about, it is told.
func TestDataSetsStayInTheirRooms(t *testing.T) {
	for _, f := range repositoryFiles(t) {
		room, _, _ := strings.Cut(f, "/")
		code := slices.Contains([]string{".go", ".wgsl", ".js", ".html", ".css"}, path.Ext(f)) &&
			!strings.HasSuffix(f, "_test.go")
		if !code || !slices.Contains(strings.Fields("train serve bench check tune nn ops shaders gpu"), room) {
			continue
		}
		for i, line := range strings.Split(string(read(t, f)), "\n") {
			if strings.Contains(strings.ToLower(line), "cifar") {
				t.Errorf("%s:%d speaks of a certain data set", f, i+1)
			}
		}
	}
}

// companions are the shader and the twin of an operator file where they don't bear its name; "" where it has none.
var companions = map[string]struct {
	shaders []string
	twin    string
}{
	"scratch":       {},
	"images":        {}, // what augmentation gathers from
	"tensor":        {}, // what all operators share
	"hash":          {}, // of what decides how fast they are
	"variant":       {},
	"conv":          {[]string{"conv_grad_sum"}, "conv"}, // its variants have the shaders
	"conv_tiled":    {[]string{"conv_tiled", "conv_tiled_weights"}, "conv"},
	"conv_naive":    {[]string{"conv_naive", "conv_grad_naive"}, "conv"},
	"conv_straight": {[]string{"conv_straight"}, "conv"},

	"conv_winograd": {[]string{"conv_winograd_weights", "conv_winograd_input", "conv_winograd_output"}, "conv"},

	"conv_tiled_grad":    {[]string{"conv_grad_tiled"}, "conv"},
	"conv_tiled_split":   {[]string{"conv_tiled_sum"}, "conv"},
	"conv_straight_grad": {[]string{"conv_grad_straight", "conv_grad_straight_sum", "unfold"}, "conv"},

	"linear":          {[]string{"linear_flatten", "linear_sum", "linear_bias"}, "linear"}, // its variants have the others
	"linear_straight": {[]string{"linear_straight", "linear_grad_straight"}, "linear"},
	"linear_tiled":    {[]string{"linear_tiled"}, "linear"},
	"linear_naive":    {[]string{"linear_naive"}, "linear"},
	"pool":            {[]string{"maxpool", "avgpool", "globalavgpool"}, "pool"}, // one file, three poolings
	// sums that convolution and batch normalisation use
	"reduce": {[]string{"reduce", "bias"}, "conv"},
	"sums":   {[]string{"sums"}, ""},

	"batchnorm_whole": {[]string{"batchnorm_whole"}, "batchnorm"},
	"conv_linear":     {[]string{"linear_straight", "linear_grad_straight"}, "conv"},

	"add": {[]string{"add"}, ""}, // the test needs no twin for a + b
}

func TestOperatorsHaveShaderAndTwin(t *testing.T) {
	code := map[string]bool{} // every string literal in ops and shaders
	for _, folder := range []string{"ops", "shaders"} {
		for _, file := range goFiles(t)[folder] {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			ast.Inspect(parse(t, file, 0), func(n ast.Node) bool {
				if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
					s, _ := strconv.Unquote(l.Value) // the parser accepted it
					code[s] = true
				}
				return true
			})
			if folder != "ops" {
				continue
			}
			name := strings.TrimSuffix(path.Base(file), ".go")
			c, special := companions[name]
			if !special {
				c.shaders, c.twin = []string{name}, name
			}
			for _, s := range c.shaders {
				exists(t, file, "shaders/"+s+".wgsl")
			}
			if c.twin != "" {
				exists(t, file, "ops/ref/"+c.twin+".go")
			}
		}
	}
	sources, err := filepath.Glob("shaders/*.wgsl")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no shaders found: %v", err)
	}
	for _, s := range sources {
		if name := strings.TrimSuffix(filepath.Base(s), ".wgsl"); !code[name] {
			t.Errorf("no operator uses %s", s)
		}
	}
}

// TestNoTestIsSkipped: a test that isn't for every run is left to make test-full by its name (ci/slow), and the name is
// that of a test.
func TestNoTestIsSkipped(t *testing.T) {
	for folder, files := range goFiles(t) {
		tests, slow := map[string]bool{}, map[string]bool{}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				continue
			}
			f := parse(t, file, 0)
			for _, d := range f.Decls {
				if d, ok := d.(*ast.FuncDecl); ok && d.Recv == nil {
					tests[d.Name.Name] = true
				}
			}
			ast.Inspect(f, func(n ast.Node) bool {
				call, _ := n.(*ast.CallExpr)
				if call == nil {
					return true
				}
				selector, _ := call.Fun.(*ast.SelectorExpr)
				if selector == nil {
					return true
				}
				switch on, _ := selector.X.(*ast.Ident); {
				case on == nil:
				case on.Name == "t" && strings.HasPrefix(selector.Sel.Name, "Skip"):
					t.Errorf("%s calls t.%s: what is not for every run is named in TestMain, see ci/slow", file, selector.Sel.Name)
				case on.Name == "slow" && selector.Sel.Name == "Run":
					for _, a := range call.Args[1:] {
						if l, ok := a.(*ast.BasicLit); ok {
							name, _ := strconv.Unquote(l.Value) // the parser accepted it
							name, _, _ = strings.Cut(name, " ") // what it needs
							slow[name] = true
						}
					}
				}
				return true
			})
		}
		for name := range slow {
			if !tests[name] {
				t.Errorf("%s leaves %s to make test-full, which is no test", folder, name)
			}
		}
	}
}

func exists(t *testing.T, of, file string) {
	t.Helper()
	if _, err := os.Stat(filepath.FromSlash(file)); err != nil {
		t.Errorf("%s: %s is missing", of, file)
	}
}

func TestWorkflowsAreCarried(t *testing.T) {
	for _, name := range []string{"lavapipe.yml", "pages.yml"} {
		if diff := cmp.Diff(string(read(t, "ci/"+name)), string(read(t, ".github/workflows/"+name))); diff != "" {
			t.Errorf("ci/%s and .github/workflows/%[1]s differ; copy the one over the other (-ci +.github):\n%[2]s", name, diff)
		}
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// machinePath matches absolute paths that mean something on one machine only.
var machinePath = regexp.MustCompile(`(^|[\s"'=(:` + "`" +
	`])(/(work|home|Users|root|mnt|workspace)/[\w.]|[A-Z]:\\Users\\)`)

func TestNoPathsOfAMachine(t *testing.T) {
	for _, f := range repositoryFiles(t) {
		text := read(t, f)
		if bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0 || bytes.HasPrefix(text, []byte("\x1f\x8b")) {
			continue // not a text
		}
		for i, line := range strings.Split(string(text), "\n") {
			if machinePath.MatchString(line) {
				t.Errorf("%s:%d has a path of one machine: %s", f, i+1, strings.TrimSpace(line))
			}
		}
	}
}

// link matches the target of a Markdown link or picture, and of an HTML picture.
var link = regexp.MustCompile(`\]\(([^)\s]+)\)|src="([^"]+)"`)

// pages are the Markdown files of the repository.
func pages(t *testing.T) []string {
	t.Helper()
	all := slices.DeleteFunc(repositoryFiles(t), func(f string) bool { return path.Ext(f) != ".md" })
	if len(all) < 10 {
		t.Fatalf("only %d pages found: %q", len(all), all)
	}
	return all
}

// TestLinks: every link of a page within the repository leads to a file, and to a heading where it names one.
func TestLinks(t *testing.T) {
	for _, page := range pages(t) {
		text := string(read(t, page))
		for _, m := range link.FindAllStringSubmatch(withoutCode(text), -1) {
			target := m[1] + m[2]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(target, "#")
			if file == "" {
				file = page
			} else {
				file = path.Join(path.Dir(page), file)
			}
			exists(t, page, file)
			if anchor != "" && path.Ext(file) == ".md" && !strings.Contains(anchors(string(read(t, file))), "\n"+anchor+"\n") {
				t.Errorf("%s links to %s, in which no heading is #%s", page, file, anchor)
			}
		}
	}
}

// TestPagesAreInTheIndex: the index of the docs has each of their pages, and with it each a sentence.
func TestPagesAreInTheIndex(t *testing.T) {
	const index = "docs/README.md"
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^- \[[^\]]+\]\(([^)]+)\): .*\.$`).FindAllStringSubmatch(
		string(read(t, index)), -1) {
		listed[path.Join("docs", m[1])] = true
	}
	for _, page := range pages(t) {
		if strings.HasPrefix(page, "docs/") && page != index && !listed[page] {
			t.Errorf("%s has no line for %s", index, page)
		}
	}
}

// withoutCode is a Markdown text without its blocks of code, which may look as links do.
func withoutCode(text string) string {
	var b strings.Builder
	block := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			block = !block
		} else if !block {
			b.WriteString(line)
		}
	}
	return b.String()
}

// anchors are the names under which the headings of a Markdown text can be linked to, one a line.
func anchors(text string) string {
	var b strings.Builder
	b.WriteByte('\n')
	for line := range strings.Lines(withoutCode(text)) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			name := regexp.MustCompile(`[^\w -]`).ReplaceAllString(strings.ToLower(title), "")
			b.WriteString(strings.ReplaceAll(name, " ", "-") + "\n")
		}
	}
	return b.String()
}

// roomOf is the sentence of a package comment that says what the room holds, without the package's name and the stop at
// the end.
func roomOf(t *testing.T, files []string) string {
	t.Helper()
	for _, f := range files {
		comment := parse(t, f, parser.ParseComments|parser.PackageClauseOnly).Doc.Text()
		if comment == "" {
			continue
		}
		words := strings.SplitN(new(doc.Package).Synopsis(comment), " ", 3)
		if len(words) < 3 || words[0] != "Package" && words[0] != "Command" {
			t.Errorf("%s: the comment begins with %q, not with Package or Command and a name", f, words)
			return ""
		}
		return strings.TrimSuffix(words[2], ".")
	}
	t.Errorf("no file of %s has a package comment", path.Dir(files[0]))
	return ""
}

// TestRoomsHoldOneThing: the first sentence of each package comment says what the room holds without an "and", the
// table of rooms in docs/architecture.md has it, and what a room imports stands below it there.
func TestRoomsHoldOneThing(t *testing.T) {
	const page = "docs/architecture.md"
	byFolder := goFiles(t)
	told, at := map[string]string{}, map[string]int{} // of the table
	for i, row := range regexp.MustCompile(`(?m)^\| \[([^\]]+)\]\(([^)]+)\) \| (.*) \|$`).FindAllStringSubmatch(
		string(read(t, page)), -1) {
		told[row[1]], at[row[1]] = row[3], i
		if target := path.Join("docs", row[2]); target != row[1] && row[1] != "." {
			t.Errorf("%s: the row of %s leads to %s", page, row[1], target)
		}
		if byFolder[row[1]] == nil {
			t.Errorf("%s has a row for %s, in which there is no Go", page, row[1])
		}
	}
	for folder, files := range byFolder {
		sentence := roomOf(t, files)
		if slices.Contains(strings.Fields(sentence), "and") {
			t.Errorf("%s needs an \"and\" to say what it holds: %s", folder, sentence)
		}
		if told[folder] != sentence {
			t.Errorf("%s must have the row\n| [%s](../%[2]s) | %s |\nits row says %q", page, folder, sentence, told[folder])
		}
		for _, below := range rooms[folder].mayImport {
			if at[below] < at[folder] {
				t.Errorf("%s: %s stands above %s, which imports it", page, below, folder)
			}
		}
	}
}

// commandLines are the command lines of ninvk in a Markdown text: lines of its code blocks, and spans of code, that
// begin with it.
func commandLines(text string) []string {
	line := regexp.MustCompile(`^\s*(?:\$ )?(?:bin/|\./)?ninvk ([^#]+)`)
	span := regexp.MustCompile("`(?:bin/|\\./)?ninvk ([^`]+)`")
	var out []string
	block := false
	for l := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(l), "```") {
			block = !block
			continue
		}
		pattern := span
		if block {
			pattern = line
		}
		for _, m := range pattern.FindAllStringSubmatch(l, -1) {
			out = append(out, strings.TrimSpace(m[1]))
		}
	}
	return out
}

// TestCommandsAreThere asks the program's help whether the commands and flags that the pages name are there.
func TestCommandsAreThere(t *testing.T) {
	help := map[string]string{} // by command
	ask := func(command string) string {
		if _, asked := help[command]; !asked {
			out, err := exec.Command(program(t), append(strings.Fields(command), "--help")...).Output()
			if err != nil {
				t.Fatalf("ninvk %s --help: %v", command, err)
			}
			help[command] = string(out)
		}
		return help[command]
	}
	named := map[string]bool{}
	for _, page := range pages(t) {
		for _, l := range commandLines(string(read(t, page))) {
			words := strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(l))
			command := words[0]
			if !regexp.MustCompile(`^[a-z]+$`).MatchString(command) {
				command = "" // COMMAND, or a flag
			}
			if (command == "data" || command == "recipes") && len(words) > 1 {
				command += " " + words[1]
			}
			if !regexp.MustCompile(`\n  `+command+`[ \n]`).MatchString(ask("")) && command != "" {
				t.Errorf("%s: ninvk %s: there is no command %s", page, l, command)
				continue
			}
			if page == "docs/commands.md" {
				named[command] = true
			}
			for _, w := range words {
				flag, _, _ := strings.Cut(strings.TrimRight(w, ",.;:)"), "=")
				if strings.HasPrefix(flag, "--") && flag != "--" && !regexp.MustCompile(
					regexp.QuoteMeta(flag)+`[=,\s]`).MatchString(strings.ReplaceAll(ask(command), "[no-]", "")) {
					t.Errorf("%s: ninvk %s: the command has no flag %s", page, l, flag)
				}
			}
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z]+(?: [a-z]+)?)(?:  | \[| <|$)`).FindAllStringSubmatch(ask(""), -1) {
		if !named[m[1]] {
			t.Errorf("docs/commands.md has no ninvk %s", m[1])
		}
	}
}

// TestExitCodesAreTold compares the table in docs/commands.md with the constants.
func TestExitCodesAreTold(t *testing.T) {
	rows := regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(string(read(t, "docs/commands.md")), -1)
	var documented []string
	for _, r := range rows {
		documented = append(documented, r[1])
	}
	codes := []string{"0"}
	for _, m := range regexp.MustCompile(`(?m)^\texit[A-Z]\w*\s+= (\d+)`).FindAllStringSubmatch(
		string(read(t, "cmd/ninvk/main.go")), -1) {
		codes = append(codes, m[1])
	}
	if diff := cmp.Diff(codes, documented); diff != "" {
		t.Errorf("exit codes (-cmd/ninvk/main.go +docs/commands.md):\n%s", diff)
	}
}

// TestVariablesAreTold: each variable of the environment that the program or its tests read is in a table.
func TestVariablesAreTold(t *testing.T) {
	told := string(read(t, "docs/commands.md")) + string(read(t, "CONTRIBUTING.md"))
	name := regexp.MustCompile(`"(NINVK_[A-Z_]+)"`)
	found := 0
	for _, f := range repositoryFiles(t) {
		if path.Ext(f) != ".go" {
			continue
		}
		for _, m := range name.FindAllStringSubmatch(string(read(t, f)), -1) {
			if strings.HasPrefix(m[1], "NINVK_TEST") || m[1] == "NINVK_DIST_ROLE" {
				continue // by these a test tells a process of its own what to do
			}
			found++
			if !strings.Contains(told, m[1]) {
				t.Errorf("%s reads %s, of which neither docs/commands.md nor CONTRIBUTING.md tells", f, m[1])
			}
		}
	}
	if found == 0 {
		t.Error("no variables found")
	}
}

// TestRecipesAreTold: docs/training.md has a row for each recipe.
func TestRecipesAreTold(t *testing.T) {
	files, err := filepath.Glob("train/recipes/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recipes found: %v", err)
	}
	var there, told []string
	for _, f := range files {
		there = append(there, strings.TrimSuffix(filepath.Base(f), ".toml"))
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z]+)` \\|").FindAllStringSubmatch(
		string(read(t, "docs/training.md")), -1) {
		told = append(told, m[1])
	}
	slices.Sort(told)
	if diff := cmp.Diff(there, told); diff != "" {
		t.Errorf("recipes (-train/recipes +docs/training.md):\n%s", diff)
	}
}

// TestNamedTestsExist: a test that a page names as showing something is there.
func TestNamedTestsExist(t *testing.T) {
	declared := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	name := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`)
	for _, f := range repositoryFiles(t) {
		if strings.HasSuffix(f, "_test.go") {
			for _, m := range declaration.FindAllStringSubmatch(string(read(t, f)), -1) {
				declared[m[1]] = true
			}
		}
	}
	named := 0
	for _, page := range append(pages(t), "docs_test.go") {
		for _, m := range name.FindAllString(withoutCode(string(read(t, page))), -1) {
			if named++; !declared[m] {
				t.Errorf("%s names %s, which is no test", page, m)
			}
		}
	}
	if named < 50 {
		t.Errorf("only %d tests are named", named)
	}
}

// TestReadmeIsShort: a screen and a half, which is what somebody reads before deciding.
func TestReadmeIsShort(t *testing.T) {
	const most = 110
	if n := strings.Count(string(read(t, "README.md")), "\n"); n > most {
		t.Errorf("README.md has %d lines, at most %d are wanted: docs/README.md lists the pages for the rest", n, most)
	}
}

// The READMEs claim what was measured of the embedded weights.
func TestReadmeAccuracy(t *testing.T) {
	files, err := fs.Glob(os.DirFS("."), "models/pretrained/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("figures of embedded weights: %q, %v", files, err)
	}
	for _, file := range files {
		var figures struct {
			Model    string
			Accuracy float64
		}
		if err := json.Unmarshal(read(t, file), &figures); err != nil {
			t.Fatal(err)
		}
		claims := map[string]string{"models/pretrained/README.md": fmt.Sprintf("| `%s` | %.2f %% |", figures.Model,
			100*figures.Accuracy)}
		if figures.Model == "nin-bn" {
			claims["README.md"] = fmt.Sprintf("gives the right answer for %.2f %% of CIFAR-10's 10,000 test images",
				100*figures.Accuracy)
		}
		for page, want := range claims {
			if !strings.Contains(strings.Join(strings.Fields(string(read(t, page))), " "), want) {
				t.Errorf("%s must say of the embedded weights: %s (%s)", page, want, file)
			}
		}
	}
}

// TestLinesFit: no line of source has more than 120 columns. A column is a character; a tab is one.
func TestLinesFit(t *testing.T) {
	const columns = 120
	sources := strings.Fields(".go .wgsl .sh .py .js .mjs .css .html .c .h .cc")
	for _, f := range repositoryFiles(t) {
		if path.Base(f) != "Makefile" && !slices.Contains(sources, path.Ext(f)) {
			continue
		}
		for i, line := range strings.Split(string(read(t, f)), "\n") {
			if n := utf8.RuneCountInString(line); n > columns {
				t.Errorf("%s:%d has %d columns, at most %d are wanted", f, i+1, n, columns)
			}
		}
	}
}

// TestRunIsATrainingRun: beneath training, what is named a run would be no training run (docs/words.md); functions may
// run things.
func TestRunIsATrainingRun(t *testing.T) {
	for folder, files := range goFiles(t) {
		if top, _, _ := strings.Cut(folder, "/"); !slices.Contains([]string{"gpu", "nn", "ops", "shaders"}, top) {
			continue
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			functions := map[*ast.Ident]bool{}
			ast.Inspect(parse(t, file, 0), func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					functions[n.Name] = true
				case *ast.CallExpr:
					switch f := n.Fun.(type) {
					case *ast.Ident:
						functions[f] = true
					case *ast.SelectorExpr:
						functions[f.Sel] = true
					}
				case *ast.Ident:
					if name := strings.TrimSuffix(strings.ToLower(n.Name), "s"); name == "run" && !functions[n] {
						t.Errorf("%s: %s is no training run: is it a stretch, or a dispatch?", file, n.Name)
					}
				}
				return true
			})
		}
	}
}

// TestFunctionsAreShort: no file has more than 400 lines of code that is no test, and few functions more than 60.
func TestFunctionsAreShort(t *testing.T) {
	const mostLines, mostOfFunction, mostLongFunctions = 400, 60, 5
	var long []string
	for _, files := range goFiles(t) {
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			source := read(t, file)
			if n := bytes.Count(source, []byte("\n")); n > mostLines {
				t.Errorf("%s has %d lines, at most %d are wanted: make two of it, each about one thing", file, n, mostLines)
			}
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, file, source, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				if d, ok := d.(*ast.FuncDecl); ok {
					if n := set.Position(d.End()).Line - set.Position(d.Pos()).Line + 1; n > mostOfFunction {
						long = append(long, fmt.Sprintf("%4d lines: %s in %s", n, d.Name.Name, file))
					}
				}
			}
		}
	}
	if len(long) > mostLongFunctions {
		slices.Sort(long)
		t.Errorf("%d functions have more than %d lines, %d may have:\n%s", len(long), mostOfFunction, mostLongFunctions,
			strings.Join(long, "\n"))
	}
}

// TestScriptsRun checks that what is to be run can be run.
func TestScriptsRun(t *testing.T) {
	for _, f := range []string{".ci/run", "ci/setup.sh", "ci/adapters.sh", "ci/quickstart.sh", "ci/vulnerabilities.sh",
		"ci/dist.sh",
		"codec/wasm/build.sh", "picture/testdata/crop.py", "picture/testdata/members.py", "bench/peers/run.py"} {
		i, err := os.Stat(f)
		if errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is missing", f)
		} else if err != nil {
			t.Fatal(err)
		} else if i.Mode()&0o111 == 0 && os.PathSeparator == '/' {
			t.Errorf("%s is not executable: chmod +x %s", f, f)
		}
	}
}

// What a build makes is no part of the repository, whose largest files are weights.
func TestNothingBuiltIsKept(t *testing.T) {
	const most = 5 << 20
	for _, f := range repositoryFiles(t) {
		i, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if i.Size() > most {
			t.Errorf("%s has %d bytes, at most %d are wanted; if a build makes it, .gitignore should name it", f, i.Size(),
				most)
		}
	}
}
