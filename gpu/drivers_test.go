package gpu

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDiagnose has systems made of files, variables and the libraries that can be loaded.
func TestDiagnose(t *testing.T) {
	const (
		lavapipe = "/usr/share/vulkan/icd.d/lvp_icd.json"
		manifest = `{"ICD": {"library_path": "libvulkan_lvp.so", "api_version": "1.3"}}`
		loader   = "libvulkan.so.1"
	)
	for _, c := range []struct {
		name      string
		libraries []string
		files     map[string]string
		env       map[string]string
		says      []string
		not       string
	}{
		{name: "no loader", says: []string{"loader", "libvulkan.so.1: not here", "libvulkan1"}, not: "mesa"},
		{
			name: "no loader, whatever variables say", files: map[string]string{lavapipe: manifest},
			env:  map[string]string{"VK_ICD_FILENAMES": "/nowhere.json"},
			says: []string{"loader", "libvulkan1"}, not: "nowhere",
		},
		{name: "no driver", libraries: []string{loader}, says: []string{"apt-get install", "mesa-vulkan-drivers"}},
		{
			name: "a variable that points to nothing", libraries: []string{loader}, files: map[string]string{lavapipe: manifest},
			env:  map[string]string{"VK_ICD_FILENAMES": "/nowhere.json"},
			says: []string{"VK_ICD_FILENAMES=/nowhere.json", "/nowhere.json does not exist", "unset it", lavapipe},
			not:  "apt-get",
		},
		{
			name: "the newer variable goes before the older", libraries: []string{loader, "libvulkan_lvp.so"},
			files: map[string]string{lavapipe: manifest},
			env:   map[string]string{"VK_ICD_FILENAMES": lavapipe, "VK_DRIVER_FILES": "/a.json:/b.json"},
			says:  []string{"VK_DRIVER_FILES=", "/a.json does not exist; /b.json does not exist"}, not: "VK_ICD_FILENAMES",
		},
		{
			name: "a broken manifest", libraries: []string{loader}, files: map[string]string{"/x.json": "{"},
			env:  map[string]string{"VK_DRIVER_FILES": "/x.json"},
			says: []string{"VK_DRIVER_FILES", "/x.json is no driver's manifest", ".json file as in /usr/share"},
		},
		{
			name: "a manifest without a library", libraries: []string{loader}, files: map[string]string{"/x.json": "{}"},
			env:  map[string]string{"VK_DRIVER_FILES": "/x.json"},
			says: []string{"/x.json is no driver's manifest", "library_path"},
		},
		{
			name: "a manifest whose library is gone", libraries: []string{loader},
			files: map[string]string{"/d/x.json": `{"ICD": {"library_path": "../l/driver.so"}}`},
			env:   map[string]string{"VK_DRIVER_FILES": "/d/x.json"},
			says:  []string{"/d/x.json names the library /l/driver.so", "not here"},
		},
		{
			name: "a folder in place of a manifest", libraries: []string{loader}, files: map[string]string{"/d/x.json": "{}"},
			env:  map[string]string{"VK_DRIVER_FILES": "/d"},
			says: []string{"VK_DRIVER_FILES=/d", "/d can't be read", "directory"},
		},
		{
			name: "drivers that are told and find nothing", libraries: []string{loader, "libvulkan_lvp.so"},
			files: map[string]string{lavapipe: manifest},
			env:   map[string]string{"VK_DRIVER_FILES": lavapipe}, says: []string{"VK_DRIVER_FILES", "find no device"},
		},
		{
			name: "drivers left out", libraries: []string{loader}, env: map[string]string{"VK_LOADER_DRIVERS_DISABLE": "*"},
			says: []string{"VK_LOADER_DRIVERS_DISABLE=*", "unset"}, not: "apt-get",
		},
		{
			name: "an installed driver that can't be loaded", libraries: []string{loader},
			files: map[string]string{lavapipe: manifest},
			says:  []string{lavapipe, "libvulkan_lvp.so", "not here", "reinstall"},
		},
		{
			name: "installed drivers without a device", libraries: []string{loader, "libvulkan_lvp.so"},
			files: map[string]string{lavapipe: manifest},
			says:  []string{lavapipe, "find no device", "/dev/dri"},
		},
		{
			name: "a container without the capability graphics", libraries: []string{loader},
			files: map[string]string{"/dev/nvidiactl": ""},
			env:   map[string]string{"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"},
			says: []string{"NVIDIA GPU", "/dev/nvidiactl", "capability graphics", "is compute,utility",
				"-e NVIDIA_DRIVER_CAPABILITIES=all"},
		},
		{
			name: "a container that says nothing of capabilities", libraries: []string{loader},
			files: map[string]string{"/dev/nvidiactl": "", "/.dockerenv": ""},
			says:  []string{"capability graphics", "is unset", "NVIDIA_DRIVER_CAPABILITIES=all"},
		},
		{
			name: "NVIDIA's driver without its Vulkan part", libraries: []string{loader},
			files: map[string]string{"/proc/driver/nvidia/version": "NVRM"},
			says:  []string{"NVIDIA GPU", "libGLX_nvidia.so.0", "nvidia-vulkan-icd"}, not: "container",
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
		got := surroundings{func(name string) string { return c.env[name] }, root, func(library string) error {
			for _, l := range c.libraries {
				if l == library {
					return nil
				}
			}
			return errors.New(library + ": not here")
		}}.diagnose()
		for _, part := range c.says {
			if !strings.Contains(got, part) {
				t.Errorf("%s: %q does not say %q", c.name, got, part)
			}
		}
		if c.not != "" && strings.Contains(got, c.not) {
			t.Errorf("%s: %q says %q", c.name, got, c.not)
		}
	}
}
