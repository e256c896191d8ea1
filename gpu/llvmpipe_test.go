package gpu

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTuneLlvmpipe(t *testing.T) {
	home := t.TempDir()
	const driver = "Mesa 25.0.7-2~bpo12+1 (LLVM 15.0.6)"
	for _, c := range []struct {
		name        string
		env         map[string]string
		width       string // "" for 512 where the CPU has such vectors
		folderParts []string
	}{
		{"nothing set", nil, "", []string{"Mesa-25.0.7-2-bpo12-1-LLVM-15.0.6-", "bits"}},
		{"width set", map[string]string{vectorWidthEnv: "128"}, "128", []string{"-128-bits-"}},
		{"folder set", map[string]string{shaderCacheEnv: "/elsewhere"}, "", nil},
		{"cache off", map[string]string{noCacheEnv: "true"}, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("XDG_CACHE_HOME", home)
			for _, name := range []string{vectorWidthEnv, shaderCacheEnv, noCacheEnv, oldNoCacheEnv, singleCacheEnv} {
				t.Setenv(name, c.env[name]) // put back after the test
			}
			tuneLlvmpipe(driver)
			if c.width == "" && wideVectors() {
				c.width = "512"
			}
			if got := os.Getenv(vectorWidthEnv); got != c.width {
				t.Errorf("vectors of %q bits, want %q", got, c.width)
			}
			folder := os.Getenv(shaderCacheEnv)
			if c.folderParts == nil {
				if folder != c.env[shaderCacheEnv] {
					t.Errorf("the folder became %q, it was %q", folder, c.env[shaderCacheEnv])
				}
				return
			}
			if filepath.Dir(folder) != filepath.Join(home, "ninvk", "shaders") {
				t.Errorf("kernels are kept in %q", folder)
			}
			for _, part := range append(c.folderParts, FileName(cpuModel())) {
				if !strings.Contains(folder, part) {
					t.Errorf("folder %q does not name %q", folder, part)
				}
			}
			if i, err := os.Stat(folder); err != nil || !i.IsDir() {
				t.Errorf("folder %q: %v", folder, err)
			}
		})
	}
}

func TestVectorWidth(t *testing.T) {
	for name, want := range map[string]int{"llvmpipe (LLVM 15.0.6, 512 bits)": 512,
		"llvmpipe (LLVM 19.1.7, 256 bits)": 256, "GeForce 256 bits": 0, "llvmpipe": 0} {
		if got := vectorWidth(name); got != want {
			t.Errorf("%s: %d bits, want %d", name, got, want)
		}
	}
}
