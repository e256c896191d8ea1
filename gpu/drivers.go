package gpu

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Variables by which the Vulkan loader is told what drivers there are; the first goes before the second.
var driverVariables = []string{"VK_DRIVER_FILES", "VK_ICD_FILENAMES"}

// capabilitiesEnv says which parts of NVIDIA's driver a container gets.
const capabilitiesEnv = "NVIDIA_DRIVER_CAPABILITIES"

// surroundings are what a system without a usable adapter is judged by.
type surroundings struct {
	env  func(name string) string
	root string                     // of the file system
	load func(library string) error // tries to load a library
}

// diagnose says why there is no Vulkan adapter and what to do.
func (s surroundings) diagnose() string {
	if err := s.load("libvulkan.so.1"); err != nil {
		return fmt.Sprintf("the Vulkan loader can't be loaded (%v); on Debian or Ubuntu `sudo apt-get install -y "+
			"libvulkan1` brings it, or reinstalls it with --reinstall", err)
	}
	for _, name := range driverVariables {
		if value := s.env(name); value != "" {
			return s.told(name, value)
		}
	}
	for _, name := range []string{"VK_LOADER_DRIVERS_SELECT", "VK_LOADER_DRIVERS_DISABLE"} {
		if value := s.env(name); value != "" {
			return fmt.Sprintf("%s=%s leaves the loader no driver that works; change it, or unset it", name, value)
		}
	}
	if hint := s.nvidia(); hint != "" {
		return hint
	}
	manifests := s.manifests()
	var problems, fine []string
	for _, m := range manifests {
		if problem := s.manifestProblem(m); problem != "" {
			problems = append(problems, problem)
		} else {
			fine = append(fine, m)
		}
	}
	switch {
	case len(fine) > 0:
		return fmt.Sprintf("the drivers that are installed find no device (%s): is the GPU in this machine or container, "+
			"and may this user open /dev/dri and what is in it? Lavapipe needs no GPU: %s", strings.Join(fine, ", "),
			HowToGetAdapter)
	case len(problems) > 0:
		return fmt.Sprintf("no driver that is installed can be loaded: %s; reinstall it, or %s", strings.Join(problems, "; "),
			HowToGetAdapter)
	}
	return HowToGetAdapter
}

// told says what is wrong with the drivers that a variable names.
func (s surroundings) told(name, value string) string {
	var problems []string
	for _, path := range filepath.SplitList(value) {
		if path == "" {
			continue
		}
		if problem := s.manifestProblem(path); problem != "" {
			problems = append(problems, problem)
		}
	}
	if len(problems) == 0 {
		problems = []string{"the drivers that it names find no device"}
	}
	advice := "it must name the driver's manifest, a .json file as in /usr/share/vulkan/icd.d; unset it to have all " +
		"drivers tried"
	if found := s.manifests(); len(found) > 0 {
		advice = fmt.Sprintf("unset it to have those tried that are installed (%s), or name one of them",
			strings.Join(found, ", "))
	}
	return fmt.Sprintf("%s=%s: %s; %s", name, value, strings.Join(problems, "; "), advice)
}

// manifestProblem says why the driver of a manifest can't be loaded, "" where it can.
func (s surroundings) manifestProblem(path string) string {
	raw, err := os.ReadFile(filepath.Join(s.root, path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return path + " does not exist"
	case err != nil:
		reason := err
		if p := (*fs.PathError)(nil); errors.As(err, &p) {
			reason = p.Err
		}
		return fmt.Sprintf("%s can't be read (%v)", path, reason)
	}
	var manifest struct {
		ICD struct {
			Library string `json:"library_path"`
		}
	}
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return fmt.Sprintf("%s is no driver's manifest (%v)", path, err)
	}
	library := manifest.ICD.Library
	if library == "" {
		return path + " is no driver's manifest (it has no ICD.library_path)"
	}
	if strings.Contains(library, "/") && !filepath.IsAbs(library) {
		library = filepath.Join(filepath.Dir(path), library)
	}
	if err := s.load(library); err != nil {
		return fmt.Sprintf("%s names the library %s, which can't be loaded (%v)", path, library, err)
	}
	return ""
}

// manifests are those that the loader finds without being told.
func (s surroundings) manifests() []string {
	home := cmp.Or(s.env("XDG_DATA_HOME"), filepath.Join(cmp.Or(s.env("HOME"), "/nonexistent"), ".local/share"))
	var found []string
	for _, dir := range []string{"/usr/share", "/usr/local/share", "/etc", home} {
		names, _ := filepath.Glob(filepath.Join(s.root, dir, "vulkan/icd.d/*.json")) // the pattern is valid
		for _, name := range names {
			found = append(found, strings.TrimPrefix(name, strings.TrimSuffix(s.root, "/")))
		}
	}
	return found
}

// nvidia says why an NVIDIA GPU that is here can't be used by Vulkan, "" where there is none or nothing is wrong with
// it.
func (s surroundings) nvidia() string {
	device := ""
	for _, path := range []string{"/dev/nvidiactl", "/proc/driver/nvidia/version"} {
		if _, err := os.Stat(filepath.Join(s.root, path)); err == nil && device == "" {
			device = path
		}
	}
	if device == "" {
		return ""
	}
	err := s.load("libGLX_nvidia.so.0")
	if err == nil {
		return ""
	}
	hint := fmt.Sprintf("an NVIDIA GPU is here (%s), but the part of its driver that Vulkan needs is not (%v)", device,
		err)
	if value := s.env(capabilitiesEnv); s.env("NVIDIA_VISIBLE_DEVICES") != "" || value != "" || s.inContainer() {
		has := value
		if has == "" {
			has = "unset"
		}
		return fmt.Sprintf("%s: this container lacks the capability graphics (%s is %s); start it with -e %s=all, or "+
			"compute,utility,graphics", hint, capabilitiesEnv, has, capabilitiesEnv)
	}
	return hint + "; install the driver's package with its Vulkan part (Debian: nvidia-vulkan-icd; Ubuntu: " +
		"libnvidia-gl-VERSION)"
}

// inContainer says whether a file tells that this is a container.
func (s surroundings) inContainer() bool {
	return slices.ContainsFunc([]string{"/.dockerenv", "/run/.containerenv"}, func(path string) bool {
		_, err := os.Stat(filepath.Join(s.root, path))
		return err == nil
	})
}
