package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

// wgpuLicence has the licences of the library behind WebGPU, which is linked from an archive of Rust's and so is in no
// list of Go's.
const wgpuLicence = "gpu/LICENSE.wgpu-native"

// licenceFile matches the names of files that say how a module may be handed on.
var licenceFile = regexp.MustCompile(`(?i)^(un)?(licen[cs]e|copying|copyright|notice|patents)([-._].*)?$`)

// licenceFolder matches that of a folder of such files.
var licenceFolder = regexp.MustCompile(`(?i)^licen[cs]es$`)

// licences are those of Go, of modules, and of what NOTICE names, which stay where NOTICE says.
func licences(modules []*debug.Module) ([]file, error) {
	goroot, err := command("go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	files := []file{{"licences/go/LICENSE", filepath.Join(goroot, "LICENSE"), false}, {wgpuLicence, wgpuLicence, false}}
	codecs, err := filepath.Glob("codec/wasm/LICENSE.*")
	if err != nil {
		return nil, err
	}
	if len(codecs) == 0 {
		return nil, errors.New("no licences in codec/wasm: is this the repository's folder?")
	}
	for _, c := range codecs {
		files = append(files, file{filepath.ToSlash(c), c, false})
	}
	folders, err := moduleFolders(modules)
	if err != nil {
		return nil, err
	}
	for module, dir := range folders {
		found, err := licencesIn(dir)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("the module %s has no file with its licence in %s: it may not be handed on", module, dir)
		}
		for _, f := range found {
			files = append(files, file{path.Join("licences", module, f), filepath.Join(dir, filepath.FromSlash(f)), false})
		}
	}
	return files, nil
}

// licencesIn are the licences at the root of a folder, and in a folder of them there.
func licencesIn(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Type().IsRegular() && licenceFile.MatchString(e.Name()) && path.Ext(e.Name()) != ".go" {
			names = append(names, e.Name())
		}
		if e.IsDir() && licenceFolder.MatchString(e.Name()) {
			more, err := os.ReadDir(filepath.Join(dir, e.Name()))
			if err != nil {
				return nil, err
			}
			for _, m := range more {
				if m.Type().IsRegular() {
					names = append(names, path.Join(e.Name(), m.Name()))
				}
			}
		}
	}
	return names, nil
}

// modulesOfPage are the modules that programs of the page, in these folders, are built of.
func modulesOfPage(folders []string) ([]*debug.Module, error) {
	if len(folders) == 0 {
		return nil, nil
	}
	ask := append([]string{"GOOS=js", "GOARCH=wasm", "go", "list", "-deps", "-f",
		"{{with .Module}}{{if .Version}}{{.Path}} {{.Version}}{{end}}{{end}}"}, folders...)
	out, err := command("env", ask...)
	if err != nil {
		return nil, err
	}
	var modules []*debug.Module
	for line := range strings.Lines(out) {
		if name, version, found := strings.Cut(strings.TrimSpace(line), " "); found {
			modules = append(modules, &debug.Module{Path: name, Version: version})
		}
	}
	return modules, nil
}

// moduleFolders are the sources of modules, by their paths.
func moduleFolders(modules []*debug.Module) (map[string]string, error) {
	ask := []string{"list", "-m", "-f", "{{.Path}}\t{{.Version}}\t{{.Dir}}"}
	versions := map[string]string{}
	for _, m := range modules {
		if _, asked := versions[m.Path]; !asked {
			versions[m.Path] = m.Version
			ask = append(ask, m.Path)
		}
	}
	if len(versions) == 0 {
		return nil, nil
	}
	out, err := command("go", ask...)
	if err != nil {
		return nil, err
	}
	folders := map[string]string{}
	for _, line := range strings.Split(out, "\n") {
		f := strings.Split(line, "\t")
		if len(f) != 3 || f[2] == "" || f[1] != versions[f[0]] {
			return nil, fmt.Errorf("the program has %s %s, go.mod or the module cache has %q: build it anew", f[0],
				cmp.Or(versions[f[0]], "?"), line)
		}
		folders[f[0]] = f[2]
	}
	return folders, nil
}

func command(name string, arguments ...string) (string, error) {
	var problems bytes.Buffer
	c := exec.Command(name, arguments...)
	c.Stderr = &problems
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(arguments, " "), err, problems.Bytes())
	}
	return strings.TrimSpace(string(out)), nil
}

// crate matches where Rust's sources lay, as its messages in a program tell.
var crate = regexp.MustCompile(`[/\\]registry[/\\]src[/\\][^/\\\x00]+[/\\]([a-z][a-z0-9_-]*?)-\d+\.\d`)

// knowsCrates sees that a text names all of Rust's libraries that a program tells of, each at the begin of a line.
func knowsCrates(program, text string) error {
	b, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	named, err := os.ReadFile(text)
	if err != nil {
		return err
	}
	var missing []string
	for _, m := range crate.FindAllSubmatch(b, -1) {
		if name := string(m[1]); !bytes.Contains(named, []byte("\n  "+name+" ")) && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("%s has these libraries of Rust in it, which %s does not name: %s", program, text,
			strings.Join(missing, ", "))
	}
	return nil
}
