// Package gpu owns the WebGPU device. That is adapters, buffers, textures, pipelines, recorded command tapes, waiting,
// read-back and errors. It is the only package that imports the binding, and it knows nothing of networks.
package gpu

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"ninvk/gpu/internal/wgpu"
)

// backends are the ones the program runs on. GL is left out: its loader prints to the terminal and it lacks what we
// need.
const backends = wgpu.InstanceBackend_Vulkan | wgpu.InstanceBackend_Metal | wgpu.InstanceBackend_DX12

// Limits are those of an adapter that decide which kernels fit. Sizes are bytes.
type Limits struct {
	MaxBufferSize                     uint64 `json:"max_buffer_size"`
	MaxStorageBufferBindingSize       uint64 `json:"max_storage_buffer_binding_size"`
	MaxUniformBufferBindingSize       uint64 `json:"max_uniform_buffer_binding_size"`
	MinUniformBufferOffsetAlignment   uint32 `json:"min_uniform_buffer_offset_alignment"`
	MinStorageBufferOffsetAlignment   uint32 `json:"min_storage_buffer_offset_alignment"`
	MaxStorageBuffersPerShaderStage   uint32 `json:"max_storage_buffers_per_shader_stage"`
	MaxTextureDimension2D             uint32 `json:"max_texture_dimension_2d"`
	MaxTextureArrayLayers             uint32 `json:"max_texture_array_layers"`
	MaxComputeInvocationsPerWorkgroup uint32 `json:"max_compute_invocations_per_workgroup"`
	MaxComputeWorkgroupSizeX          uint32 `json:"max_compute_workgroup_size_x"`
	MaxComputeWorkgroupStorageSize    uint32 `json:"max_compute_workgroup_storage_size"`
	MaxComputeWorkgroupsPerDimension  uint32 `json:"max_compute_workgroups_per_dimension"`

	// MaxUnrolledProducts is how many multiply-adds in one kernel, written out without a loop, its compiler is given:
	// UnrolledOnLlvmpipe or UnrolledElsewhere. It is ours, not the driver's.
	MaxUnrolledProducts uint32 `json:"max_unrolled_products"`
}

// Values of MaxUnrolledProducts, by measuring. Llvmpipe gains by long kernels. SwiftShader takes gigabytes of memory to
// compile them, and crashed on one of 6,912 products. Nothing is known of other compilers, where such kernels should
// cost little, as nothing speaks for a gain.
const (
	UnrolledOnLlvmpipe = 12288
	UnrolledElsewhere  = 2048
)

// Adapter describes one adapter of this machine.
type Adapter struct {
	Index   int    `json:"index"`
	Name    string `json:"name"`
	Backend string `json:"backend"`
	Type    string `json:"type"` // discrete, integrated, virtual, cpu or unknown
	Driver  string `json:"driver"`
	Default bool   `json:"default"`
	Limits  Limits `json:"limits"`

	VectorWidth int    `json:"vector_width,omitempty"` // bits; of llvmpipe
	ShaderCache string `json:"shader_cache,omitempty"` // folder of compiled kernels; of llvmpipe

	handle *wgpu.Adapter
	limits wgpu.Limits
}

// CPU says whether the adapter is a software driver.
func (a Adapter) CPU() bool { return a.Type == "cpu" }

// Llvmpipe says whether the adapter is Mesa's Lavapipe.
func (a Adapter) Llvmpipe() bool { return a.VectorWidth > 0 }

// String is the one-line form that messages use.
func (a Adapter) String() string {
	return fmt.Sprintf("%d: %s (%s, %s, %s)", a.Index, a.Name, a.Type, a.Backend, a.Driver)
}

// NoAdapterError says that no adapter can be used, and how to get one.
type NoAdapterError struct {
	Selector  string // what was asked for; empty for the default
	Available []Adapter
}

// HowToGetAdapter is the advice printed where there is no adapter.
const HowToGetAdapter = "install a Vulkan driver: on Debian or Ubuntu `sudo apt-get install -y libvulkan1 " +
	"mesa-vulkan-drivers` " +
	"brings Lavapipe, which runs on any CPU"

// noneFound begins the message where a system has no adapter.
const noneFound = "no Vulkan, Metal or DX12 adapter found: "

func (e *NoAdapterError) Error() string {
	if len(e.Available) == 0 {
		return whyNone()
	}
	return fmt.Sprintf("no adapter matches %q; known adapters:\n%s", e.Selector, list(e.Available))
}

// AmbiguousAdapterError says that a selector fits several adapters.
type AmbiguousAdapterError struct {
	Selector string
	Matches  []Adapter
}

func (e *AmbiguousAdapterError) Error() string {
	return fmt.Sprintf("%q fits %d adapters; give an index or a longer part of the name:\n%s", e.Selector, len(e.Matches),
		list(e.Matches))
}

func list(as []Adapter) string {
	lines := make([]string, len(as))
	for i, a := range as {
		lines[i] = "  " + a.String()
	}
	return strings.Join(lines, "\n")
}

// rank orders adapters for the default: real GPUs first, software last.
func rank(kind string) int {
	return slices.Index([]string{"discrete", "integrated", "virtual", "unknown", "cpu"}, kind)
}

// Adapters lists every adapter; exactly one is marked as the default, the first of the best type
// (discrete before integrated before virtual before cpu).
func Adapters() ([]Adapter, error) {
	as, release, err := enumerate()
	if err != nil {
		return nil, err
	}
	release()
	if len(as) == 0 {
		return nil, &NoAdapterError{}
	}
	warnSoftware(as)
	return as, nil
}

// warnSoftware says once why an NVIDIA GPU is not among the adapters where the best of them is a software one.
func warnSoftware(as []Adapter) {
	if slices.ContainsFunc(as, func(a Adapter) bool { return a.Default && a.CPU() }) {
		warnNoGPU()
	}
}

var warnNoGPU = sync.OnceFunc(func() {
	if why := whyNoGPU(); why != "" {
		slog.Warn(why)
	}
})

// prepareLlvmpipe looks, with an instance of its own, whether there is an llvmpipe, and sets it up for the instances to
// come. The folder for its kernels is named by its version, which nothing else tells.
var prepareLlvmpipe = sync.OnceFunc(func() {
	if runtime.GOOS != "linux" {
		return
	}
	instance := wgpu.CreateInstance(&wgpu.InstanceDescriptor{Backends: backends})
	defer instance.Release()
	for _, h := range instance.EnumerateAdapters(&wgpu.InstanceEnumerateAdapterOptons{Backends: backends}) {
		if p := h.GetProperties(); strings.Contains(p.Name, llvmpipeNameHas) {
			tuneLlvmpipe(strings.TrimSpace(p.DriverDescription))
		}
		h.Release()
	}
})

// enumerate lists the adapters, with limits as NINVK_LIMITS lowers them; release gives back the handles, those kept by
// an open device excepted.
func enumerate() (as []Adapter, release func(), err error) {
	limits, err := lowered()
	if err != nil {
		return nil, nil, err
	}
	quietDrivers()
	prepareLlvmpipe()
	instance := wgpu.CreateInstance(&wgpu.InstanceDescriptor{Backends: backends})
	for i, h := range instance.EnumerateAdapters(&wgpu.InstanceEnumerateAdapterOptons{Backends: backends}) {
		p, l := h.GetProperties(), h.GetLimits().Limits
		as = append(as, Adapter{
			Index: i, Name: p.Name, Backend: backendName(p.BackendType), Type: typeName(p.AdapterType),
			Driver: cmp.Or(strings.TrimSpace(p.DriverDescription), p.VendorName), handle: h, limits: l,
			Limits: Limits{
				MaxBufferSize: l.MaxBufferSize, MaxStorageBufferBindingSize: l.MaxStorageBufferBindingSize,
				MaxUniformBufferBindingSize:       l.MaxUniformBufferBindingSize,
				MinUniformBufferOffsetAlignment:   l.MinUniformBufferOffsetAlignment,
				MinStorageBufferOffsetAlignment:   l.MinStorageBufferOffsetAlignment,
				MaxStorageBuffersPerShaderStage:   l.MaxStorageBuffersPerShaderStage,
				MaxTextureDimension2D:             l.MaxTextureDimension2D,
				MaxTextureArrayLayers:             l.MaxTextureArrayLayers,
				MaxComputeInvocationsPerWorkgroup: l.MaxComputeInvocationsPerWorkgroup,
				MaxComputeWorkgroupSizeX:          l.MaxComputeWorkgroupSizeX,
				MaxComputeWorkgroupStorageSize:    l.MaxComputeWorkgroupStorageSize,
				MaxComputeWorkgroupsPerDimension:  l.MaxComputeWorkgroupsPerDimension,
			},
		})
	}
	for i := range as {
		as[i].Limits.MaxUnrolledProducts = UnrolledElsewhere
		if as[i].VectorWidth = vectorWidth(as[i].Name); as[i].Llvmpipe() {
			as[i].ShaderCache = shaderCache()
			as[i].Limits.MaxUnrolledProducts = UnrolledOnLlvmpipe
		}
		as[i].lower(limits)
	}
	if len(as) > 0 {
		best := slices.MinFunc(as, func(a, b Adapter) int { return cmp.Compare(rank(a.Type), rank(b.Type)) })
		as[best.Index].Default = true
	}
	return as, func() {
		for _, a := range as {
			a.handle.Release()
		}
		instance.Release()
	}, nil
}

// quietDrivers keeps driver chatter off the user's terminal: Mesa complains where XDG_RUNTIME_DIR is unset.
func quietDrivers() {
	wgpu.SetLogLevel(wgpu.LogLevel_Off)
	if runtime.GOOS == "linux" && os.Getenv("XDG_RUNTIME_DIR") == "" {
		os.Setenv("XDG_RUNTIME_DIR", os.TempDir())
	}
}

// Select picks the adapter that selector names: "" the default, an index, a type (cpu, discrete, integrated, virtual),
// or a part of the name or driver ("lavapipe" finds Mesa's llvmpipe).
func Select(as []Adapter, selector string) (Adapter, error) {
	if len(as) == 0 {
		return Adapter{}, &NoAdapterError{Selector: selector}
	}
	s := strings.ToLower(strings.TrimSpace(selector))
	var found []Adapter
	switch i, err := strconv.Atoi(s); {
	case s == "":
		found = slices.DeleteFunc(slices.Clone(as), func(a Adapter) bool { return !a.Default })
	case err == nil && i >= 0 && i < len(as):
		found = as[i : i+1]
	default:
		if s == "lavapipe" {
			s = "llvmpipe"
		}
		for _, a := range as {
			text := strings.ToLower(a.Name + " " + a.Driver)
			hit := a.Type == s || strings.Contains(text, s)
			if err == nil { // a number that is no index must be a word of the name, as in "Radeon RX 7900"
				hit = slices.Contains(strings.Fields(text), s)
			}
			if hit {
				found = append(found, a)
			}
		}
	}
	switch len(found) {
	case 0:
		return Adapter{}, &NoAdapterError{Selector: selector, Available: as}
	case 1:
		return found[0], nil
	}
	return Adapter{}, &AmbiguousAdapterError{Selector: selector, Matches: found}
}

func typeName(t wgpu.AdapterType) string {
	switch t {
	case wgpu.AdapterType_DiscreteGPU:
		return "discrete"
	case wgpu.AdapterType_IntegratedGPU:
		return "integrated"
	case wgpu.AdapterType_CPU:
		return "cpu"
	}
	return "unknown"
}

func backendName(b wgpu.BackendType) string {
	switch b {
	case wgpu.BackendType_Vulkan:
		return "Vulkan"
	case wgpu.BackendType_Metal:
		return "Metal"
	case wgpu.BackendType_D3D12:
		return "DX12"
	}
	return b.String()
}
