// Command pack makes an archive of the built program to hand on. It holds the program, README, LICENSE, NOTICE, and the
// licences of all that is linked into it. The same program makes the same archive, to the byte.
//
//	go run ./ci/pack -version VERSION -out FOLDER [-toolchain FILE] PROGRAM [PACKAGE...]
//
// PACKAGE are other Go programs that are part of PROGRAM, by their folders: that of the page, which is WebAssembly.
// FOLDER gets NAME.tar.gz, for Windows NAME.zip, and in SHA256SUMS the sums of all archives that are there.
package main

import (
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

func main() {
	version := flag.String("version", "", "of the program, for the names of archive and folder")
	out := flag.String("out", ".", "folder for the archive")
	toolchain := flag.String("toolchain", "", "a file with the licences of what the C compiler links into every program")
	flag.Parse()
	if *version == "" || flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "pack: needed are -version and a program")
		os.Exit(2)
	}
	name, err := pack(*version, *out, *toolchain, flag.Arg(0), flag.Args()[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
	fmt.Println(name)
}

// file is one of an archive.
type file struct {
	name       string // with slashes, within the archive's folder
	from       string
	executable bool
}

// pack writes the archive of a program.
func pack(version, out, toolchain, program string, inside []string) (archive string, err error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "", err
	}
	built := settings(info)
	if built["vcs.modified"] == "true" {
		version += "-modified"
	}
	when := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC) // the first that a zip knows
	if t, err := time.Parse(time.RFC3339, built["vcs.time"]); err == nil {
		when = t.UTC()
	}
	page, err := modulesOfPage(inside)
	if err != nil {
		return "", err
	}
	files, err := licences(append(info.Deps, page...))
	if err != nil {
		return "", err
	}
	if err := knowsCrates(program, wgpuLicence); err != nil {
		return "", err
	}
	files = append(files, file{"LICENSE", "LICENSE", false}, file{"NOTICE", "NOTICE", false},
		file{"README.md", "README.md", false})
	if toolchain != "" {
		files = append(files, file{"licences/toolchain", toolchain, false})
	}
	name := fmt.Sprintf("ninvk-%s-%s-%s", version, built["GOOS"], built["GOARCH"])
	write, ending := writeTar, ".tar.gz"
	binary := "ninvk"
	if built["GOOS"] == "windows" {
		write, ending, binary = writeZip, ".zip", "ninvk.exe"
	}
	files = append(files, file{binary, program, true})
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	archive = filepath.Join(out, name+ending)
	f, err := os.Create(archive)
	if err != nil {
		return "", err
	}
	if err := errors.Join(write(f, name, when, files), f.Close()); err != nil {
		return "", err
	}
	return archive, writeSums(out)
}

func settings(info *debug.BuildInfo) map[string]string {
	s := map[string]string{}
	for _, x := range info.Settings {
		s[x.Key] = x.Value
	}
	return s
}
