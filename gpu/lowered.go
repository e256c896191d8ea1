package gpu

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"ninvk/gpu/internal/wgpu"
)

// LimitsEnv is the environment variable that lowers limits of all adapters, as
// maxStorageBufferBindingSize=1048576,maxComputeInvocationsPerWorkgroup=128: the program then behaves as on a smaller
// adapter. The names are WebGPU's, and unrolledLimit. A number above an adapter's own limit changes nothing.
const LimitsEnv = "NINVK_LIMITS"

// unrolledLimit is the one limit that is the program's own, of which the device knows nothing.
const unrolledLimit = "maxUnrolledProducts"

// LimitsError says what is wrong with a value of NINVK_LIMITS.
type LimitsError struct{ Item, Problem string }

func (e *LimitsError) Error() string { return fmt.Sprintf("%s: %q: %s", LimitsEnv, e.Item, e.Problem) }

// lowerable are the limits that can be lowered: what the program asks, and what it asks the device for.
var lowerable = map[string]func(l *Limits, w *wgpu.Limits, v uint64){
	"maxBufferSize": func(l *Limits, w *wgpu.Limits, v uint64) { lower(v, &l.MaxBufferSize, &w.MaxBufferSize) },
	"maxStorageBufferBindingSize": func(l *Limits, w *wgpu.Limits, v uint64) {
		lower(v, &l.MaxStorageBufferBindingSize, &w.MaxStorageBufferBindingSize)
	},
	"maxUniformBufferBindingSize": func(l *Limits, w *wgpu.Limits, v uint64) {
		lower(v, &l.MaxUniformBufferBindingSize, &w.MaxUniformBufferBindingSize)
	},
	"maxStorageBuffersPerShaderStage": func(l *Limits, w *wgpu.Limits, v uint64) {
		lower(v, &l.MaxStorageBuffersPerShaderStage, &w.MaxStorageBuffersPerShaderStage)
	},
	"maxTextureDimension2D": func(l *Limits, w *wgpu.Limits, v uint64) {
		lower(v, &l.MaxTextureDimension2D, &w.MaxTextureDimension2D)
	},
	"maxTextureArrayLayers": func(l *Limits, w *wgpu.Limits, v uint64) {
		lower(v, &l.MaxTextureArrayLayers, &w.MaxTextureArrayLayers)
	},
	"maxComputeInvocationsPerWorkgroup": func(l *Limits, w *wgpu.Limits, v uint64) {
		lower(v, &l.MaxComputeInvocationsPerWorkgroup, &w.MaxComputeInvocationsPerWorkgroup)
	},
	"maxComputeWorkgroupSizeX": func(l *Limits, w *wgpu.Limits, v uint64) {
		lower(v, &l.MaxComputeWorkgroupSizeX, &w.MaxComputeWorkgroupSizeX)
	},
	"maxComputeWorkgroupStorageSize": func(l *Limits, w *wgpu.Limits, v uint64) {
		lower(v, &l.MaxComputeWorkgroupStorageSize, &w.MaxComputeWorkgroupStorageSize)
	},
	"maxComputeWorkgroupsPerDimension": func(l *Limits, w *wgpu.Limits, v uint64) {
		lower(v, &l.MaxComputeWorkgroupsPerDimension, &w.MaxComputeWorkgroupsPerDimension)
	},
	unrolledLimit: func(l *Limits, _ *wgpu.Limits, v uint64) { lower(v, &l.MaxUnrolledProducts) },
}

func lower[T uint32 | uint64](v uint64, limits ...*T) {
	for _, l := range limits {
		*l = T(min(uint64(*l), v))
	}
}

// lowered reads NINVK_LIMITS.
func lowered() (map[string]uint64, error) { return parseLimits(os.Getenv(LimitsEnv)) }

func parseLimits(s string) (map[string]uint64, error) {
	limits := map[string]uint64{}
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		name, number, _ := strings.Cut(item, "=")
		name = strings.TrimSpace(name)
		if lowerable[name] == nil {
			return nil, &LimitsError{item, "no limit of this name; write NAME=NUMBER, the names are " +
				strings.Join(slices.Sorted(maps.Keys(lowerable)), ", ")}
		}
		v, err := strconv.ParseUint(strings.TrimSpace(number), 10, 64)
		if err != nil || v == 0 {
			return nil, &LimitsError{item, fmt.Sprintf("%s must be a whole number from 1 on", name)}
		}
		limits[name] = v
	}
	return limits, nil
}

// lower sets the adapter's limits to those that NINVK_LIMITS allows.
func (a *Adapter) lower(limits map[string]uint64) {
	for name, v := range limits {
		lowerable[name](&a.Limits, &a.limits, v)
	}
}
