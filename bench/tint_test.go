package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ninvk/cifar10"
	"ninvk/gpu"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/ops"
	"ninvk/ops/cases"
)

// guaranteed are the limits that every implementation of WebGPU has.
func guaranteed(l gpu.Limits) gpu.Limits {
	l.MaxBufferSize = 256 << 20
	l.MaxStorageBufferBindingSize = 128 << 20
	l.MaxStorageBuffersPerShaderStage = 8
	l.MaxTextureDimension2D = 8192
	l.MaxTextureArrayLayers = 256
	l.MaxComputeInvocationsPerWorkgroup = 256
	l.MaxComputeWorkgroupSizeX = 256
	l.MaxComputeWorkgroupStorageSize = 16 << 10
	l.MaxUnrolledProducts = gpu.UnrolledElsewhere
	return l
}

var kinds = map[gpu.Kind]string{
	gpu.Read: "read", gpu.Write: "write", gpu.Params: "params", gpu.Uniform: "uniform", gpu.TextureF32: "texture f32",
	gpu.TextureUint: "texture u32",
}

// tintShader is what tint.mjs reads.
type tintShader struct {
	Name     string   `json:"name"`
	Source   string   `json:"source"`
	Bindings []string `json:"bindings"`
	Pipeline bool     `json:"pipeline"` // made for the limits that WebGPU guarantees
}

// shaderSet collects kernels, each source once.
type shaderSet struct {
	shaders []*tintShader
	seen    map[string]*tintShader
}

func (s *shaderSet) add(from string, pipeline bool, kernels ...gpu.Kernel) {
	for _, k := range kernels {
		x := s.seen[k.Source]
		if x == nil {
			x = &tintShader{Name: k.Name + " (" + from + ")", Source: k.Source}
			for _, b := range k.Bindings {
				x.Bindings = append(x.Bindings, kinds[b])
			}
			s.seen[k.Source] = x
			s.shaders = append(s.shaders, x)
		}
		x.Pipeline = x.Pipeline || pipeline
	}
}

// networks adds the kernels of the steps of all networks, by every variant.
func (s *shaderSet) networks(t *testing.T, dev *gpu.Device, images *ops.Images, pipeline bool) {
	passes := []ops.Pass{ops.ConvForward, ops.ConvInputGrad, ops.ConvWeightGrad}
	variants := map[string]bool{}
	for _, p := range passes {
		for _, v := range ops.Variants(p) {
			variants[v] = true
		}
	}
	for _, model := range models.Names() {
		size, batches := models.Size(model), []int{1, 64}
		if size > cifar10.Width {
			batches = []int{1, 16}
		}
		graph, out, err := models.Build(models.Config{Model: model, Classes: cifar10.Classes, Size: size, Dropout: 0.5})
		if err != nil {
			t.Fatal(err)
		}
		for _, batch := range batches {
			for _, variant := range slices.Sorted(maps.Keys(variants)) {
				var forced []string
				for _, p := range passes {
					if slices.Contains(ops.Variants(p), variant) {
						forced = append(forced, string(p)+"="+variant)
					}
				}
				t.Setenv(ops.VariantEnv, strings.Join(forced, ","))
				for _, shards := range []int{0, 1, 2} { // 0: of an evaluation
					train := shards > 0
					if shards > batch {
						continue
					}
					net, err := nn.Build(dev, graph, out, nn.Options{
						Batch: batch, Train: train, Shards: shards, Optimiser: ops.SGD{Momentum: 0.9, Nesterov: variant == "naive"},
						Clip:    ops.GradNorm{Clip: 1},
						Augment: ops.Augment{Size: size, Mean: models.Mean[:], Std: models.Std[:]},
					})
					if err != nil {
						t.Fatal(err)
					}
					kernels, err := net.Kernels(images, batch, train)
					net.Release()
					if err != nil {
						t.Fatal(err)
					}
					s.add(fmt.Sprintf("%s, batch %d, %s", model, batch, variant), pipeline, kernels...)
				}
			}
		}
	}
}

// table adds the kernels of the table of operators, odd shapes and all.
func (s *shaderSet) table(t *testing.T, dev *gpu.Device, pipeline bool) {
	limits := dev.Limits()
	for _, c := range cases.All() {
		if c.Fits != nil && c.Fits(limits) != nil {
			continue
		}
		need := ops.Need{Partial: ops.PartialBytes}
		if c.Need != nil {
			need = need.Max(c.Need(limits))
		}
		r := &ops.Recorder{Dev: dev, Tape: dev.NewTape(c.String())}
		err := errors.Join(
			set(&r.Partial)(dev.NewBuffer("partial sums", need.Partial)),
			set(&r.Unfolded)(dev.NewBuffer("unfolded activation", need.Unfolded)),
			set(&r.Scratch)(ops.NewScratch(dev, need.Scratch.Max(ops.Extent{Width: 256, Height: 256}))),
		)
		if err != nil {
			t.Fatal(err)
		}
		m, err := c.Allocate(r)
		if err != nil {
			t.Fatal(err)
		}
		if c.Prepare != nil {
			err = c.Prepare(m)
		}
		if err = errors.Join(err, c.Record(m)); err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		s.add(c.String(), pipeline, m.Tape.Kernels()...)
		m.Release()
		r.Partial.Release()
		r.Unfolded.Release()
		r.Scratch.Release()
		if err := dev.Wait(c.String()); err != nil { // which frees them
			t.Fatal(err)
		}
	}
}

func set[T any](to *T) func(T, error) error {
	return func(v T, err error) error {
		*to = v
		return err
	}
}

// Tint, Chrome's compiler of WGSL, accepts every kernel that the program can make: those of the networks by every
// variant, those of the table of operators, and those that measure an adapter's limits; for this adapter's limits, and
// for the smallest that WebGPU allows, as for a CPU and as for a GPU.
func TestTintAcceptsEveryShader(t *testing.T) {
	if _, err := os.Stat(filepath.Join("testdata", "node_modules", "webgpu")); errors.Is(err, fs.ErrNotExist) {
		t.Fatal("Dawn for Node is not there: `make tint` installs it (Node.js 20 or later with npm is needed)")
	} else if err != nil {
		t.Fatal(err)
	}
	data, err := cifar10.Sample()
	if err != nil {
		t.Fatal(err)
	}
	dev, err := gpu.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	pixels, err := data.Test.All()
	if err != nil {
		t.Fatal(err)
	}
	images, err := ops.UploadImages(dev, "images", ops.Shape{C: 3, H: cifar10.Height, W: cifar10.Width}, pixels)
	if err != nil {
		t.Fatal(err)
	}
	defer images.Release()

	all := shaderSet{seen: map[string]*tintShader{}}
	own := dev.Adapter
	defer func() { dev.Adapter = own }()
	for _, a := range []struct {
		kind   string
		limits gpu.Limits
	}{{own.Type, guaranteed(own.Limits)}, {own.Type, own.Limits}, {"discrete", guaranteed(own.Limits)}} {
		dev.Adapter.Type, dev.Adapter.Limits = a.kind, a.limits
		all.networks(t, dev, images, a.limits != own.Limits)
		all.table(t, dev, a.limits != own.Limits)
	}
	for _, f := range arithmeticForms {
		all.add("limits", true, arithmeticKernel(f.sums, f.fused))
	}
	all.add("limits", true, copyKernel, triadKernel, emptyKernel)
	wrong := gpu.Kernel{Name: "wrong", Source: "@compute @workgroup_size(1)\nfn main() { let x: u32 = 1.5; }\n"}
	all.add("must be refused", true, wrong)

	file := filepath.Join(t.TempDir(), "shaders.json")
	text, err := json.Marshal(all.shaders)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var said, failed bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	node := exec.CommandContext(ctx, "node", filepath.Join("testdata", "tint.mjs"), file)
	node.Stdout, node.Stderr = &said, &failed
	if err := node.Run(); err != nil {
		t.Fatalf("node tint.mjs: %v (Node.js 20 or later is needed)\n%s%s", err, said.String(), failed.String())
	}
	var end struct {
		Compiled, Pipelines int
		Version             string
	}
	refused := false
	for line := range strings.Lines(said.String()) {
		var shader struct {
			Name     string
			Problems []string
		}
		if err := json.Unmarshal([]byte(line), &shader); err != nil {
			t.Fatalf("tint.mjs said %q: %v", line, err)
		}
		if shader.Name == "" {
			if err := json.Unmarshal([]byte(line), &end); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if shader.Name == all.seen[wrong.Source].Name {
			refused = true
			continue
		}
		t.Errorf("%s:\n%s", shader.Name, strings.Join(shader.Problems, "\n"))
	}
	if !refused {
		t.Error("Tint accepted a wrong shader: does it look at them at all?")
	}
	if end.Compiled != len(all.shaders) || end.Pipelines == 0 {
		t.Fatalf("%d of %d shaders were compiled, %d pipelines made\n%s", end.Compiled, len(all.shaders), end.Pipelines,
			failed.String())
	}
	t.Logf("Tint of Dawn for Node %s: %d shaders compiled, %d of them made into pipelines at the limits that WebGPU "+
		"guarantees", end.Version, end.Compiled-1, end.Pipelines)
}
