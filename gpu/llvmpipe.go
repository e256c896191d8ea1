package gpu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/cpu"
)

// Settings of llvmpipe, the compiler within Mesa's Lavapipe. It reads them from the environment when an instance is
// made.
const (
	vectorWidthEnv  = "LP_NATIVE_VECTOR_WIDTH"      // bits
	shaderCacheEnv  = "MESA_SHADER_CACHE_DIR"       // where compiled kernels are kept
	noCacheEnv      = "MESA_SHADER_CACHE_DISABLE"   // true for nowhere
	oldNoCacheEnv   = "MESA_GLSL_CACHE_DISABLE"     // the same, before Mesa 22
	singleCacheEnv  = "MESA_DISK_CACHE_SINGLE_FILE" // shared read-only files have no folder of ours
	llvmpipeNameHas = "llvmpipe"
)

// tuneLlvmpipe sets what makes llvmpipe fast, where the user did not set it; it comes before the instance that is used.
// driver is the driver's description.
//
// Vectors of 512 bits take a third less time than those of 256 wherever the CPU has AVX-512. The folder for compiled
// kernels is our own and bears the driver's version, the vector width and the CPU's model: Mesa's key for a kernel
// knows none of the last two, so a shared folder gives code of another width, and code that a crash left damaged stays
// for every program.
func tuneLlvmpipe(driver string) {
	width := os.Getenv(vectorWidthEnv)
	if width == "" && wideVectors() {
		width = "512"
		os.Setenv(vectorWidthEnv, width)
	}
	if os.Getenv(shaderCacheEnv) != "" || os.Getenv(noCacheEnv) != "" || os.Getenv(oldNoCacheEnv) != "" ||
		os.Getenv(singleCacheEnv) != "" {
		return
	}
	base, err := ownShaderCache()
	if err != nil {
		return // no home: the driver has no folder of its own either
	}
	if width == "" {
		width = "default"
	}
	dir := filepath.Join(base, FileName(driver+" "+width+" bits "+cpuModel()))
	if os.MkdirAll(dir, 0o700) == nil {
		os.Setenv(shaderCacheEnv, dir)
	}
}

// ownShaderCache is the folder that holds a folder of compiled kernels for every llvmpipe that the program met.
func ownShaderCache() (string, error) {
	base, err := os.UserCacheDir()
	return filepath.Join(base, "ninvk", "shaders"), err
}

// OwnShaderCache says whether a folder of compiled kernels is one that ClearShaderCache deletes.
func OwnShaderCache(folder string) bool {
	base, err := ownShaderCache()
	return err == nil && folder != "" && filepath.Dir(folder) == base
}

// ClearShaderCache deletes the kernels that llvmpipe compiled for this program, of every version and vector width, and
// tells where they were and how many bytes they took. Devices must not be open. A folder that the user chose for the
// driver stays.
func ClearShaderCache() (folder string, size int64, err error) {
	if folder, err = ownShaderCache(); err != nil {
		return folder, 0, err
	}
	err = filepath.WalkDir(folder, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		i, err := e.Info()
		if err == nil {
			size += i.Size()
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil {
		err = os.RemoveAll(folder)
	}
	if err != nil {
		return folder, size, fmt.Errorf("deleting compiled kernels: %w", err)
	}
	return folder, size, nil
}

func wideVectors() bool {
	return cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL
}

// shaderCache is the folder in which llvmpipe keeps compiled kernels, "" where it keeps none or one of its own choice.
func shaderCache() string {
	for _, off := range []string{noCacheEnv, oldNoCacheEnv} {
		if on, err := strconv.ParseBool(os.Getenv(off)); err == nil && on {
			return ""
		}
	}
	return os.Getenv(shaderCacheEnv)
}

var vectorBits = regexp.MustCompile(`(\d+) bits`)

// vectorWidth is the width in bits that llvmpipe tells in its name, 0 for other adapters.
func vectorWidth(name string) int {
	m := vectorBits.FindStringSubmatch(name)
	if m == nil || !strings.Contains(name, llvmpipeNameHas) {
		return 0
	}
	bits, _ := strconv.Atoi(m[1]) // digits, as they matched
	return bits
}

// cpuModel is the CPU's name as the kernel tells it, with family and model, which virtual machines leave where they
// hide the name.
var cpuModel = sync.OnceValue(func() string {
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	first, _, _ := strings.Cut(string(raw), "\n\n")
	var parts []string
	for _, key := range []string{"model name", "cpu family", "model"} {
		for line := range strings.Lines(first) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
				parts = append(parts, strings.TrimSpace(v))
			}
		}
	}
	if len(parts) == 0 {
		return runtime.GOARCH
	}
	return strings.Join(parts, " ")
})

var notInNames = regexp.MustCompile(`[^A-Za-z0-9.]+`)

// FileName makes a text one that every file system takes.
func FileName(s string) string { return strings.Trim(notInNames.ReplaceAllString(s, "-"), "-") }
