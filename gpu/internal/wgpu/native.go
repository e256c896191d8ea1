//go:build !js

// Package wgpu is WebGPU as package gpu uses it, native or the browser's own. Two sets of files have the same names:
// native.go has those of the binding to wgpu-native, the other files are written on the browser's WebGPU.
package wgpu

import "github.com/rajveermalviya/go-webgpu/wgpu"

type (
	Adapter                        = wgpu.Adapter
	AdapterType                    = wgpu.AdapterType
	BackendType                    = wgpu.BackendType
	BindGroup                      = wgpu.BindGroup
	BindGroupDescriptor            = wgpu.BindGroupDescriptor
	BindGroupEntry                 = wgpu.BindGroupEntry
	BindGroupLayout                = wgpu.BindGroupLayout
	BindGroupLayoutDescriptor      = wgpu.BindGroupLayoutDescriptor
	BindGroupLayoutEntry           = wgpu.BindGroupLayoutEntry
	Buffer                         = wgpu.Buffer
	BufferDescriptor               = wgpu.BufferDescriptor
	BufferUsage                    = wgpu.BufferUsage
	ComputePipeline                = wgpu.ComputePipeline
	ComputePipelineDescriptor      = wgpu.ComputePipelineDescriptor
	Device                         = wgpu.Device
	DeviceDescriptor               = wgpu.DeviceDescriptor
	Extent3D                       = wgpu.Extent3D
	InstanceDescriptor             = wgpu.InstanceDescriptor
	InstanceEnumerateAdapterOptons = wgpu.InstanceEnumerateAdapterOptons
	Limits                         = wgpu.Limits
	PipelineLayoutDescriptor       = wgpu.PipelineLayoutDescriptor
	ProgrammableStageDescriptor    = wgpu.ProgrammableStageDescriptor
	Queue                          = wgpu.Queue
	RequiredLimits                 = wgpu.RequiredLimits
	ShaderModule                   = wgpu.ShaderModule
	ShaderModuleDescriptor         = wgpu.ShaderModuleDescriptor
	ShaderModuleWGSLDescriptor     = wgpu.ShaderModuleWGSLDescriptor
	Texture                        = wgpu.Texture
	TextureDescriptor              = wgpu.TextureDescriptor
	TextureFormat                  = wgpu.TextureFormat
	TextureView                    = wgpu.TextureView
	TextureViewDescriptor          = wgpu.TextureViewDescriptor
	TextureViewDimension           = wgpu.TextureViewDimension
)

const (
	AdapterType_CPU                     = wgpu.AdapterType_CPU
	AdapterType_DiscreteGPU             = wgpu.AdapterType_DiscreteGPU
	AdapterType_IntegratedGPU           = wgpu.AdapterType_IntegratedGPU
	BackendType_D3D12                   = wgpu.BackendType_D3D12
	BackendType_Metal                   = wgpu.BackendType_Metal
	BackendType_Vulkan                  = wgpu.BackendType_Vulkan
	BufferBindingType_ReadOnlyStorage   = wgpu.BufferBindingType_ReadOnlyStorage
	BufferBindingType_Storage           = wgpu.BufferBindingType_Storage
	BufferBindingType_Uniform           = wgpu.BufferBindingType_Uniform
	BufferMapAsyncStatus_Success        = wgpu.BufferMapAsyncStatus_Success
	BufferUsage_CopyDst                 = wgpu.BufferUsage_CopyDst
	BufferUsage_CopySrc                 = wgpu.BufferUsage_CopySrc
	BufferUsage_MapRead                 = wgpu.BufferUsage_MapRead
	BufferUsage_Storage                 = wgpu.BufferUsage_Storage
	BufferUsage_Uniform                 = wgpu.BufferUsage_Uniform
	InstanceBackend_DX12                = wgpu.InstanceBackend_DX12
	InstanceBackend_Metal               = wgpu.InstanceBackend_Metal
	InstanceBackend_Vulkan              = wgpu.InstanceBackend_Vulkan
	LogLevel_Off                        = wgpu.LogLevel_Off
	ShaderStage_Compute                 = wgpu.ShaderStage_Compute
	TextureAspect_All                   = wgpu.TextureAspect_All
	TextureDimension_2D                 = wgpu.TextureDimension_2D
	TextureFormat_R32Uint               = wgpu.TextureFormat_R32Uint
	TextureFormat_RGBA32Float           = wgpu.TextureFormat_RGBA32Float
	TextureSampleType_Uint              = wgpu.TextureSampleType_Uint
	TextureSampleType_UnfilterableFloat = wgpu.TextureSampleType_UnfilterableFloat
	TextureUsage_CopyDst                = wgpu.TextureUsage_CopyDst
	TextureUsage_TextureBinding         = wgpu.TextureUsage_TextureBinding
	TextureViewDimension_2D             = wgpu.TextureViewDimension_2D
	TextureViewDimension_2DArray        = wgpu.TextureViewDimension_2DArray
)

// CreateInstance begins to look for adapters.
func CreateInstance(d *InstanceDescriptor) *wgpu.Instance { return wgpu.CreateInstance(d) }

// SetLogLevel says how much the library prints.
func SetLogLevel(level wgpu.LogLevel) { wgpu.SetLogLevel(level) }
