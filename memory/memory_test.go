package memory

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLeast has systems made of files: those of both versions of control groups, as seen on a machine and in
// containers.
func TestLeast(t *testing.T) {
	const (
		meminfo = "MemTotal:        2097152 kB\nMemFree:         1 kB\n"
		two     = "29 22 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
		one     = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n36 31 0:33 / /sys/fs/cgroup/cpu rw - " +
			"cgroup cgroup rw,cpu\n"
		none = "9223372036854771712\n"
	)
	for _, c := range []struct {
		name  string
		files map[string]string
		want  Limit
	}{
		{"nothing can be told", nil, Limit{}},
		{"no control groups", map[string]string{"proc/meminfo": meminfo}, Limit{2 << 30, Machine}},
		{
			"version 2, no limit",
			map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": two,
				"sys/fs/cgroup/a/memory.max": "max\n"},
			Limit{2 << 30, Machine},
		},
		{
			"version 2",
			map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": two,
				"sys/fs/cgroup/a/memory.max": "943718400\n"},
			Limit{900 << 20, "/sys/fs/cgroup/a/memory.max"},
		},
		{
			"a limit above the machine's memory",
			map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": two,
				"sys/fs/cgroup/a/memory.max": "99999999999\n"},
			Limit{2 << 30, Machine},
		},
		{
			"nested, the least is in the middle",
			map[string]string{
				"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b/c\n", "proc/self/mountinfo": two,
				"sys/fs/cgroup/a/memory.max": "800000000\n", "sys/fs/cgroup/a/b/memory.max": "700000000\n",
				"sys/fs/cgroup/a/b/c/memory.max": "max\n",
			},
			Limit{700000000, "/sys/fs/cgroup/a/b/memory.max"},
		},
		{
			"memory.high",
			map[string]string{
				"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": two,
				"sys/fs/cgroup/a/memory.max": "800000000\n", "sys/fs/cgroup/a/memory.high": "600000000\n",
			},
			Limit{600000000, "/sys/fs/cgroup/a/memory.high"},
		},
		{
			"a container with a namespace of groups",
			map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "proc/self/mountinfo": two,
				"sys/fs/cgroup/memory.max": "500000000\n"},
			Limit{500000000, "/sys/fs/cgroup/memory.max"},
		},
		{
			"a process moved out of its namespace",
			map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/../other\n", "proc/self/mountinfo": two,
				"sys/fs/cgroup/memory.max": "500000000\n"},
			Limit{500000000, "/sys/fs/cgroup/memory.max"},
		},
		{
			"a container that sees only its group, under the name outside",
			map[string]string{
				"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/docker/0a1b\n",
				"proc/self/mountinfo": "35 31 0:32 /docker/0a1b /sys/fs/cgroup/memory ro - cgroup cgroup " +
					"rw,memory\n",
				"sys/fs/cgroup/memory/memory.limit_in_bytes": "400000000\n",
			},
			Limit{400000000, "/sys/fs/cgroup/memory/memory.limit_in_bytes"},
		},
		{
			"version 1, nested, beside version 2 without memory",
			map[string]string{
				"proc/meminfo": meminfo, "proc/self/cgroup": "5:cpu:/x\n4:hugetlb,memory:/a/b\n0::/\n",
				"proc/self/mountinfo": one + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 " +
					"cgroup2 rw\n",
				"sys/fs/cgroup/memory/memory.limit_in_bytes":     none,
				"sys/fs/cgroup/memory/a/memory.limit_in_bytes":   "300000000\n",
				"sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": none,
			},
			Limit{300000000, "/sys/fs/cgroup/memory/a/memory.limit_in_bytes"},
		},
		{
			"a name with spaces and colons",
			map[string]string{
				"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a b:c\n",
				"proc/self/mountinfo":                    `29 22 0:26 / /sys/fs/control\040groups rw - cgroup2 cgroup2 rw` + "\n",
				"sys/fs/control groups/a b:c/memory.max": "200000000\n",
			},
			Limit{200000000, "/sys/fs/control groups/a b:c/memory.max"},
		},
		{
			"files that make no sense",
			map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "x\n0:\n",
				"proc/self/mountinfo": "a - b\n\n - cgroup2\n" + two, "sys/fs/cgroup/memory.max": "-1\n"},
			Limit{2 << 30, Machine},
		},
	} {
		root := t.TempDir()
		for name, text := range c.files {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := least(root); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
