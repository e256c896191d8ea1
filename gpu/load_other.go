//go:build !linux && !js

package gpu

// whyNone says what to do where there is no adapter.
func whyNone() string { return noneFound + HowToGetAdapter }

// whyNoGPU is for systems where a GPU may be there without its driver's Vulkan part.
func whyNoGPU() string { return "" }
