package wgpu

import (
	"syscall/js"

	"ninvk/promise"
)

type (
	ShaderModuleWGSLDescriptor struct{ Code string }
	ShaderModuleDescriptor     struct {
		Label          string
		WGSLDescriptor *ShaderModuleWGSLDescriptor
	}
	ShaderModule struct{ V js.Value }
)

// CreateShaderModule waits until the source is read; the error says what is wrong with it.
func (d *Device) CreateShaderModule(x *ShaderModuleDescriptor) (*ShaderModule, error) {
	v, err := d.made(func() js.Value {
		return d.V.Call("createShaderModule", object{"label": x.Label, "code": x.WGSLDescriptor.Code})
	})
	if err != nil {
		return nil, err
	}
	return &ShaderModule{v}, nil
}

func (*ShaderModule) Release() {}

type (
	ShaderStage       uint32
	BufferBindingType string
	TextureSampleType string
)

const (
	ShaderStage_Compute                 ShaderStage       = 4
	BufferBindingType_Uniform           BufferBindingType = "uniform"
	BufferBindingType_Storage           BufferBindingType = "storage"
	BufferBindingType_ReadOnlyStorage   BufferBindingType = "read-only-storage"
	TextureSampleType_UnfilterableFloat TextureSampleType = "unfilterable-float"
	TextureSampleType_Uint              TextureSampleType = "uint"
)

type (
	BufferBindingLayout struct {
		Type             BufferBindingType
		HasDynamicOffset bool
	}
	TextureBindingLayout struct {
		SampleType    TextureSampleType
		ViewDimension TextureViewDimension
	}
	BindGroupLayoutEntry struct {
		Binding    uint32
		Visibility ShaderStage
		Buffer     BufferBindingLayout
		Texture    TextureBindingLayout
	}
	BindGroupLayoutDescriptor struct {
		Label   string
		Entries []BindGroupLayoutEntry
	}
	BindGroupLayout struct{ V js.Value }
)

func (*BindGroupLayout) Release() {}

func (d *Device) CreateBindGroupLayout(x *BindGroupLayoutDescriptor) (*BindGroupLayout, error) {
	entries := make([]any, len(x.Entries))
	for i, e := range x.Entries {
		o := object{"binding": e.Binding, "visibility": uint32(e.Visibility)}
		if e.Buffer.Type != "" {
			o["buffer"] = object{"type": string(e.Buffer.Type), "hasDynamicOffset": e.Buffer.HasDynamicOffset}
		} else {
			o["texture"] = object{"sampleType": string(e.Texture.SampleType),
				"viewDimension": string(e.Texture.ViewDimension)}
		}
		entries[i] = o
	}
	v, err := d.Scoped(func() js.Value {
		return d.V.Call("createBindGroupLayout", object{"label": x.Label, "entries": entries})
	})
	return &BindGroupLayout{v}, err
}

type (
	PipelineLayoutDescriptor struct {
		Label            string
		BindGroupLayouts []*BindGroupLayout
	}
	PipelineLayout struct{ V js.Value }
)

func (*PipelineLayout) Release() {}

func (d *Device) CreatePipelineLayout(x *PipelineLayoutDescriptor) (*PipelineLayout, error) {
	layouts := make([]any, len(x.BindGroupLayouts))
	for i, l := range x.BindGroupLayouts {
		layouts[i] = l.V
	}
	v, err := d.Scoped(func() js.Value {
		return d.V.Call("createPipelineLayout", object{"label": x.Label, "bindGroupLayouts": layouts})
	})
	return &PipelineLayout{v}, err
}

type (
	ProgrammableStageDescriptor struct {
		Module     *ShaderModule
		EntryPoint string
	}
	ComputePipelineDescriptor struct {
		Label   string
		Layout  *PipelineLayout
		Compute ProgrammableStageDescriptor
	}
	ComputePipeline struct{ V js.Value }
)

func (*ComputePipeline) Release() {}

// CreateComputePipeline waits until the driver has compiled the module; several may be under way at a time.
func (d *Device) CreateComputePipeline(x *ComputePipelineDescriptor) (*ComputePipeline, error) {
	made, err := promise.Try(func() js.Value {
		return d.V.Call("createComputePipelineAsync", object{"label": x.Label, "layout": x.Layout.V,
			"compute": object{"module": x.Compute.Module.V, "entryPoint": x.Compute.EntryPoint}})
	})
	if err != nil {
		return nil, err
	}
	v, err := promise.Await(made)
	if err != nil {
		return nil, err
	}
	return &ComputePipeline{v}, nil
}

type (
	BindGroupEntry struct {
		Binding      uint32
		Buffer       *Buffer
		Offset, Size uint64
		TextureView  *TextureView
	}
	BindGroupDescriptor struct {
		Label   string
		Layout  *BindGroupLayout
		Entries []BindGroupEntry
	}
	BindGroup struct{ V js.Value }
)

func (*BindGroup) Release() {}

func (d *Device) CreateBindGroup(x *BindGroupDescriptor) (*BindGroup, error) {
	entries := make([]any, len(x.Entries))
	for i, e := range x.Entries {
		o := object{"binding": e.Binding}
		if e.Buffer != nil {
			o["resource"] = object{"buffer": e.Buffer.V, "offset": e.Offset, "size": e.Size}
		} else {
			o["resource"] = e.TextureView.V
		}
		entries[i] = o
	}
	v, err := d.Scoped(func() js.Value {
		return d.V.Call("createBindGroup", object{"label": x.Label, "layout": x.Layout.V, "entries": entries})
	})
	return &BindGroup{v}, err
}
