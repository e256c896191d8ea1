package gpu

import (
	"fmt"

	"ninvk/gpu/internal/wgpu"
)

// Kind says how a kernel binds a resource.
type Kind int

const (
	Read        Kind = iota // var<storage, read>
	Write                   // var<storage, read_write>
	Params                  // var<uniform>, moved by a dynamic offset: one slot a dispatch
	Uniform                 // var<uniform>
	TextureF32              // texture_2d<f32>
	TextureUint             // texture_2d_array<u32>
)

// Kernel is the source of a compute shader with entry point main and bindings @group(0) @binding(i) in the order of
// Bindings.
type Kernel struct {
	Name     string
	Source   string
	Bindings []Kind
}

// Pipeline is a compiled kernel.
type Pipeline struct {
	Name     string
	bindings []Kind
	p        *wgpu.ComputePipeline
	l        *wgpu.BindGroupLayout
}

func (p *Pipeline) release() { p.p.Release(); p.l.Release() }

// Pipeline compiles k, or returns the pipeline compiled before from the same source. Safe for concurrent use.
func (d *Device) Pipeline(k Kernel) (*Pipeline, error) {
	if p := d.compiled(k); p != nil {
		return p, nil
	}
	m, err := d.module(k)
	if err != nil {
		return nil, err
	}
	return d.pipeline(k, m)
}

// compiled is the pipeline compiled before from the same source, or nil.
func (d *Device) compiled(k Kernel) *Pipeline {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pipelines[k.Source]
}

// module has the library read a kernel's source.
func (d *Device) module(k Kernel) (m *wgpu.ShaderModule, err error) {
	err = guard("compiling "+k.Name, func() error {
		m, err = d.device.CreateShaderModule(&wgpu.ShaderModuleDescriptor{Label: k.Name,
			WGSLDescriptor: &wgpu.ShaderModuleWGSLDescriptor{Code: k.Source}})
		return err
	})
	return m, d.compileError(k, err)
}

// pipeline has the driver compile a module, which is released.
func (d *Device) pipeline(k Kernel, m *wgpu.ShaderModule) (*Pipeline, error) {
	defer m.Release()
	p := &Pipeline{Name: k.Name, bindings: k.Bindings}
	err := guard("compiling "+k.Name, func() (err error) {
		d.making.Lock()
		defer d.making.Unlock()
		entries := make([]wgpu.BindGroupLayoutEntry, len(k.Bindings))
		for i, kind := range k.Bindings {
			entries[i] = layoutEntry(i, kind)
		}
		if p.l, err = d.device.CreateBindGroupLayout(&wgpu.BindGroupLayoutDescriptor{Label: k.Name,
			Entries: entries}); err != nil {
			return err
		}
		pl, err := d.device.CreatePipelineLayout(&wgpu.PipelineLayoutDescriptor{Label: k.Name,
			BindGroupLayouts: []*wgpu.BindGroupLayout{p.l}})
		if err != nil {
			return err
		}
		defer pl.Release()
		p.p, err = d.device.CreateComputePipeline(&wgpu.ComputePipelineDescriptor{Label: k.Name, Layout: pl,
			Compute: wgpu.ProgrammableStageDescriptor{Module: m, EntryPoint: "main"}})
		return err
	})
	if err != nil {
		return nil, d.compileError(k, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if q := d.pipelines[k.Source]; q != nil {
		p.release()
		return q, nil
	}
	d.pipelines[k.Source] = p
	return p, nil
}

func (d *Device) compileError(k Kernel, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("kernel %s does not compile on %s: %w", k.Name, d.Adapter.Name, err)
}

func layoutEntry(i int, kind Kind) wgpu.BindGroupLayoutEntry {
	e := wgpu.BindGroupLayoutEntry{Binding: uint32(i), Visibility: wgpu.ShaderStage_Compute}
	switch kind {
	case Read:
		e.Buffer.Type = wgpu.BufferBindingType_ReadOnlyStorage
	case Write:
		e.Buffer.Type = wgpu.BufferBindingType_Storage
	case Params, Uniform:
		e.Buffer.Type = wgpu.BufferBindingType_Uniform
		e.Buffer.HasDynamicOffset = kind == Params
	case TextureF32, TextureUint:
		e.Texture.SampleType = wgpu.TextureSampleType_UnfilterableFloat
		e.Texture.ViewDimension = wgpu.TextureViewDimension_2D
		if kind == TextureUint {
			e.Texture.SampleType = wgpu.TextureSampleType_Uint
			e.Texture.ViewDimension = wgpu.TextureViewDimension_2DArray
		}
	}
	return e
}
