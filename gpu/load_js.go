package gpu

// whyNone says what to do where there is no adapter.
func whyNone() string {
	return "no WebGPU adapter found: this browser has no WebGPU, has it switched off, or knows no GPU that it trusts"
}

// whyNoGPU is for systems where a GPU may be there without its driver's Vulkan part.
func whyNoGPU() string { return "" }
