// Package memory tells how much memory this process may have. That is the machine's, or the least limit of the control
// groups (cgroups) that it is in, as containers and batch systems set them. A process that takes more is killed without
// a word.
package memory

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Limit is a bound on memory and who sets it.
type Limit struct {
	Bytes uint64
	Of    string // Machine, or the file of a control group
}

// Machine stands for the machine's own memory as a limit.
const Machine = "the machine"

// Least is the least limit on this process; the zero Limit where none can be told, as outside Linux.
func Least() Limit { return least("/") }

// least reads the files of a system under root.
func least(root string) Limit {
	l := machine(root)
	for _, file := range limitFiles(root) {
		raw, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			continue // the group at the top of a hierarchy has no limit, and no file
		}
		bytes, err := strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 64)
		if err != nil {
			continue // "max"; a group without a limit in version 1 has a number beyond every machine's memory
		}
		if l.Bytes == 0 || bytes < l.Bytes {
			l = Limit{bytes, file}
		}
	}
	return l
}

// machine is the memory of the machine.
func machine(root string) Limit {
	raw, err := os.ReadFile(filepath.Join(root, "proc/meminfo"))
	if err != nil {
		return Limit{}
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kb, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return Limit{}
			}
			return Limit{kb << 10, Machine}
		}
	}
	return Limit{}
}

// files are those that hold limits, by the version of control groups. What is above memory.high is slowed down until it
// hardly runs.
var files = map[string][]string{"cgroup": {"memory.limit_in_bytes"}, "cgroup2": {"memory.max", "memory.high"}}

// limitFiles are the files that may hold a limit on this process: those of its group, and of every group above as far
// as they can be seen.
func limitFiles(root string) []string {
	var all []string
	groups := memoryGroups(root)
	for _, m := range mounts(root) {
		group, ok := groups[m.version]
		if !ok {
			continue
		}
		// A container often sees its group, or one above, as the top; then the group's name outside says nothing.
		within, err := filepath.Rel(m.shows, group)
		if err != nil || within == ".." || strings.HasPrefix(within, "../") {
			within = "."
		}
		for {
			for _, name := range files[m.version] {
				all = append(all, filepath.Join(m.at, within, name))
			}
			if within == "." {
				break
			}
			within = filepath.Dir(within)
		}
	}
	return all
}

// memoryGroups are the names of the groups that this process is in, by version.
func memoryGroups(root string) map[string]string {
	groups := map[string]string{}
	raw, _ := os.ReadFile(filepath.Join(root, "proc/self/cgroup")) // none where the kernel has no control groups
	for line := range strings.Lines(string(raw)) {
		// number:controllers:name, as 4:memory:/docker/0a1b or 0::/user.slice
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		switch {
		case len(parts) < 3:
		case parts[0] == "0" && parts[1] == "":
			groups["cgroup2"] = parts[2]
		case hasMemory(parts[1]):
			groups["cgroup"] = parts[2]
		}
	}
	return groups
}

// hasMemory says whether a list of controllers has that of memory.
func hasMemory(controllers string) bool { return strings.Contains(","+controllers+",", ",memory,") }

// mount is a place where groups can be seen.
type mount struct {
	version string // the file system: cgroup or cgroup2
	shows   string // the group that is at the top
	at      string
}

// mounts are those that show groups with limits on memory.
func mounts(root string) []mount {
	var found []mount
	raw, _ := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	for line := range strings.Lines(string(raw)) {
		// id parent device root mountpoint options [fields] - type source superoptions
		before, after, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		if right[0] == "cgroup2" || right[0] == "cgroup" && hasMemory(right[2]) {
			found = append(found, mount{right[0], unescape.Replace(left[3]), unescape.Replace(left[4])})
		}
	}
	return found
}

// unescape undoes what mountinfo does to names.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
