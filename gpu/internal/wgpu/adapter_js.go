package wgpu

import (
	"strings"
	"syscall/js"

	"ninvk/promise"
)

// InstanceBackend is a set of drivers' interfaces; the browser chooses for itself.
type InstanceBackend uint32

const (
	InstanceBackend_Vulkan InstanceBackend = 1 << iota
	InstanceBackend_Metal
	InstanceBackend_DX12
)

// LogLevel says how much the library prints; the browser prints what it likes.
type LogLevel int

const LogLevel_Off LogLevel = 0

// SetLogLevel does nothing here.
func SetLogLevel(LogLevel) {}

type (
	InstanceDescriptor             struct{ Backends InstanceBackend }
	InstanceEnumerateAdapterOptons struct{ Backends InstanceBackend }
	Instance                       struct{ v js.Value }
)

// CreateInstance finds the page's or the worker's WebGPU.
func CreateInstance(*InstanceDescriptor) *Instance {
	navigator := js.Global().Get("navigator")
	if !navigator.Truthy() {
		return &Instance{js.Undefined()}
	}
	return &Instance{navigator.Get("gpu")}
}

func (*Instance) Release() {}

// EnumerateAdapters asks for the fastest adapter: a browser shows one, or none.
func (i *Instance) EnumerateAdapters(*InstanceEnumerateAdapterOptons) []*Adapter {
	if !i.v.Truthy() {
		return nil
	}
	a, err := promise.Await(i.v.Call("requestAdapter", object{"powerPreference": "high-performance"}))
	if err != nil || !a.Truthy() {
		return nil
	}
	return []*Adapter{{a}}
}

type (
	AdapterType int
	BackendType int
)

const (
	AdapterType_DiscreteGPU AdapterType = iota
	AdapterType_IntegratedGPU
	AdapterType_CPU
	AdapterType_Unknown
)

const (
	BackendType_WebGPU BackendType = iota
	BackendType_Vulkan
	BackendType_Metal
	BackendType_D3D12
)

func (b BackendType) String() string { return "WebGPU" }

// Adapter is what the browser offers.
type Adapter struct{ v js.Value }

func (*Adapter) Release() {}

// AdapterProperties are what a browser tells of its adapter, which is little: names are coarse so that nobody is
// recognised by them.
type AdapterProperties struct {
	VendorName, Name, DriverDescription string
	AdapterType                         AdapterType
	BackendType                         BackendType
}

// softwareNames are in the names of drivers that compute on the CPU, in small letters.
var softwareNames = []string{"swiftshader", "llvmpipe", "basic render", "warp", "software"}

func (a *Adapter) GetProperties() AdapterProperties {
	info := a.v.Get("info")
	field := func(name string) string {
		if v := info.Get(name); v.Type() == js.TypeString {
			return strings.TrimSpace(v.String())
		}
		return ""
	}
	var words []string
	for _, name := range []string{"vendor", "architecture", "device", "description"} {
		if s := field(name); s != "" {
			words = append(words, s)
		}
	}
	p := AdapterProperties{VendorName: field("vendor"), Name: strings.Join(words, " "),
		AdapterType: AdapterType_Unknown, BackendType: BackendType_WebGPU}
	if p.Name == "" {
		p.Name = "an adapter without a name"
	}
	if p.DriverDescription = field("description"); p.DriverDescription == "" {
		p.DriverDescription = "browser"
	}
	software := info.Get("isFallbackAdapter").Truthy() || a.v.Get("isFallbackAdapter").Truthy()
	for _, name := range softwareNames {
		software = software || strings.Contains(strings.ToLower(p.Name), name)
	}
	if software {
		p.AdapterType = AdapterType_CPU
	}
	return p
}

// Limits are those that the program asks for, under the binding's names.
type Limits struct {
	MaxTextureDimension2D             uint32
	MaxTextureArrayLayers             uint32
	MaxStorageBuffersPerShaderStage   uint32
	MaxUniformBufferBindingSize       uint64
	MaxStorageBufferBindingSize       uint64
	MaxBufferSize                     uint64
	MinUniformBufferOffsetAlignment   uint32
	MinStorageBufferOffsetAlignment   uint32
	MaxComputeWorkgroupStorageSize    uint32
	MaxComputeInvocationsPerWorkgroup uint32
	MaxComputeWorkgroupSizeX          uint32
	MaxComputeWorkgroupSizeY          uint32
	MaxComputeWorkgroupSizeZ          uint32
	MaxComputeWorkgroupsPerDimension  uint32
}

type (
	RequiredLimits  struct{ Limits Limits }
	SupportedLimits struct{ Limits Limits }
)

// each calls word or long for every limit with its name in WebGPU.
func (l *Limits) each(word func(name string, v *uint32), long func(name string, v *uint64)) {
	word("maxTextureDimension2D", &l.MaxTextureDimension2D)
	word("maxTextureArrayLayers", &l.MaxTextureArrayLayers)
	word("maxStorageBuffersPerShaderStage", &l.MaxStorageBuffersPerShaderStage)
	long("maxUniformBufferBindingSize", &l.MaxUniformBufferBindingSize)
	long("maxStorageBufferBindingSize", &l.MaxStorageBufferBindingSize)
	long("maxBufferSize", &l.MaxBufferSize)
	word("minUniformBufferOffsetAlignment", &l.MinUniformBufferOffsetAlignment)
	word("minStorageBufferOffsetAlignment", &l.MinStorageBufferOffsetAlignment)
	word("maxComputeWorkgroupStorageSize", &l.MaxComputeWorkgroupStorageSize)
	word("maxComputeInvocationsPerWorkgroup", &l.MaxComputeInvocationsPerWorkgroup)
	word("maxComputeWorkgroupSizeX", &l.MaxComputeWorkgroupSizeX)
	word("maxComputeWorkgroupSizeY", &l.MaxComputeWorkgroupSizeY)
	word("maxComputeWorkgroupSizeZ", &l.MaxComputeWorkgroupSizeZ)
	word("maxComputeWorkgroupsPerDimension", &l.MaxComputeWorkgroupsPerDimension)
}

func (a *Adapter) GetLimits() SupportedLimits {
	var s SupportedLimits
	all := a.v.Get("limits")
	s.Limits.each(func(name string, v *uint32) { *v = uint32(all.Get(name).Float()) },
		func(name string, v *uint64) { *v = uint64(all.Get(name).Float()) })
	return s
}

type DeviceDescriptor struct {
	Label          string
	RequiredLimits *RequiredLimits
}

// RequestDevice opens the adapter with the limits asked for.
func (a *Adapter) RequestDevice(x *DeviceDescriptor) (*Device, error) {
	limits := object{}
	x.RequiredLimits.Limits.each(func(name string, v *uint32) { limits[name] = *v },
		func(name string, v *uint64) { limits[name] = *v })
	made, err := promise.Try(func() js.Value {
		return a.v.Call("requestDevice", object{"label": x.Label, "requiredLimits": limits})
	})
	if err != nil {
		return nil, err
	}
	v, err := promise.Await(made)
	if err != nil {
		return nil, err
	}
	d := &Device{V: v, Woken: make(chan struct{}, 1)}
	d.watch()
	return d, nil
}

// Device is an open adapter.
type Device struct {
	V     js.Value
	Woken chan struct{} // gets a value whenever something that was asked of the device has come about

	problem, lost string
	pending       int
	uncaught      js.Func
}

// Queue takes the device's work.
type Queue struct{ V js.Value }

func (d *Device) GetQueue() *Queue { return &Queue{d.V.Get("queue")} }
func (q *Queue) Release()          {}

// Release gives the device back; nothing may be asked of it afterwards. It waits until the browser has said so: nothing
// of the device calls back then, which a program that has ended could not bear.
func (d *Device) Release() {
	d.V.Call("destroy")
	for d.lost == "" {
		<-d.Woken
	}
}
