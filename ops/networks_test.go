package ops

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"ninvk/gpu"
)

// Layer is a convolution of a network, at the side of its square input.
type Layer struct {
	Conv
	Size  int
	Times int  // how many of the network's layers are like it
	First bool // nothing is before it that wants a gradient
}

// layerList collects the convolutions of a network, equal ones once.
type layerList struct {
	layers []Layer
	size   int // of what the next layer reads
}

func (n *layerList) conv(c, m, k, stride, pad int) {
	l := Layer{Conv: Conv{C: c, M: m, K: k, Stride: stride, Pad: pad}, Size: n.size, Times: 1, First: len(n.layers) == 0}
	n.size = (n.size+2*pad-k)/stride + 1
	if i := slices.IndexFunc(n.layers, func(o Layer) bool { return o.Conv == l.Conv && o.Size == l.Size }); i >= 0 {
		n.layers[i].Times++
		return
	}
	n.layers = append(n.layers, l)
}

// same is a convolution that keeps the image's side.
func (n *layerList) same(c, m, k int) { n.conv(c, m, k, 1, k/2) }

func (n *layerList) pool(k, stride, pad int) { n.size = (n.size+2*pad-k)/stride + 1 }

func (n *layerList) poolCeil(k, stride int) { n.size = (n.size-k+stride-1)/stride + 1 }

func densenet(blocks ...int) func(*layerList) {
	return func(n *layerList) {
		n.conv(3, 64, 7, 2, 3)
		n.pool(3, 2, 1)
		c := 64
		for i, layers := range blocks {
			for range layers {
				n.same(c, 128, 1)
				n.same(128, 32, 3)
				c += 32
			}
			if i < len(blocks)-1 {
				n.same(c, c/2, 1)
				n.pool(2, 2, 0)
				c /= 2
			}
		}
	}
}

func basicBlocks(n *layerList, blocks int, widths ...int) {
	c := widths[0]
	for i, m := range widths {
		for j := range blocks {
			stride := 1
			if i > 0 && j == 0 {
				stride = 2
				size := n.size
				if widths[0] == 64 { // by slicing in the narrow ones
					n.conv(c, m, 1, 2, 0)
				}
				n.size = size
			}
			n.conv(c, m, 3, stride, 1)
			n.same(m, m, 3)
			c = m
		}
	}
}

func resnet18(n *layerList) {
	n.conv(3, 64, 7, 2, 3)
	n.pool(3, 2, 1)
	basicBlocks(n, 2, 64, 128, 256, 512)
}

func lenet5(n *layerList) {
	n.conv(3, 6, 5, 1, 0)
	n.pool(2, 2, 0)
	n.conv(6, 16, 5, 1, 0)
}

func googlenet(n *layerList) {
	n.conv(3, 64, 7, 2, 3)
	n.poolCeil(3, 2)
	n.same(64, 64, 1)
	n.same(64, 192, 3)
	n.poolCeil(3, 2)
	c := 192
	for i, b := range [][6]int{
		{64, 96, 128, 16, 32, 32}, {128, 128, 192, 32, 96, 64},
		{192, 96, 208, 16, 48, 64}, {160, 112, 224, 24, 64, 64}, {128, 128, 256, 24, 64, 64},
		{112, 144, 288, 32, 64, 64}, {256, 160, 320, 32, 128, 128},
		{256, 160, 320, 32, 128, 128}, {384, 192, 384, 48, 128, 128},
	} {
		if i == 2 {
			n.poolCeil(3, 2)
		}
		if i == 7 {
			n.poolCeil(2, 2)
		}
		n.same(c, b[0], 1)
		n.same(c, b[1], 1)
		n.same(b[1], b[2], 3)
		n.same(c, b[3], 1)
		n.same(b[3], b[4], 3)
		n.same(c, b[5], 1)
		c = b[0] + b[2] + b[4] + b[5]
	}
}

func vgg16(n *layerList) {
	c := 3
	for _, m := range []int{64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512} {
		if m == 0 {
			n.pool(2, 2, 0)
			continue
		}
		n.same(c, m, 3)
		c = m
	}
}

func alexnet(n *layerList) {
	n.conv(3, 64, 11, 4, 2)
	n.pool(3, 2, 0)
	n.same(64, 192, 5)
	n.pool(3, 2, 0)
	n.same(192, 384, 3)
	n.same(384, 256, 3)
	n.same(256, 256, 3)
}

func nin(n *layerList) {
	n.same(3, 192, 5)
	n.same(192, 160, 1)
	n.same(160, 96, 1)
	n.pool(3, 2, 1)
	n.same(96, 192, 5)
	n.same(192, 192, 1)
	n.same(192, 192, 1)
	n.pool(3, 2, 1)
	n.same(192, 192, 3)
	n.same(192, 192, 1)
	n.same(192, 10, 1)
}

// Network is a list of layers at an image's side.
type Network struct {
	Name        string
	Batch, Size int
	Layers      []Layer
	Bias        bool // otherwise batch norm follows
}

// Networks are those whose convolutions the kernels must serve.
func Networks() []Network {
	var all []Network
	for _, n := range []struct {
		name        string
		batch, size int
		bias        bool
		build       func(*layerList)
	}{
		{"nin", 64, 32, true, nin},
		{"nin-bn", 64, 32, false, nin},
		{"lenet5", 64, 32, true, lenet5},
		{"resnet20", 64, 32, false, func(n *layerList) { n.same(3, 16, 3); basicBlocks(n, 3, 16, 32, 64) }},
		{"resnet18-small", 16, 32, false, func(n *layerList) { n.same(3, 64, 3); basicBlocks(n, 2, 64, 128, 256, 512) }},
		{"resnet18", 8, 64, false, resnet18},
		{"resnet18", 4, 224, false, resnet18},
		{"densenet121", 8, 64, false, densenet(6, 12, 24, 16)},
		{"densenet121", 16, 32, false, densenet(6, 12, 24, 16)},
		{"densenet121", 4, 224, false, densenet(6, 12, 24, 16)},
		{"densenet201", 8, 64, false, densenet(6, 12, 48, 32)},
		{"densenet264", 8, 64, false, densenet(6, 12, 64, 48)},
		{"densenet264", 4, 224, false, densenet(6, 12, 64, 48)},
		{"googlenet", 16, 64, false, googlenet},
		{"googlenet", 4, 224, false, googlenet},
		{"vgg16", 16, 32, true, vgg16},
		{"vgg16", 4, 224, true, vgg16},
		{"alexnet", 16, 64, true, alexnet},
		{"alexnet", 64, 224, true, alexnet},
	} {
		list := &layerList{size: n.size}
		n.build(list)
		all = append(all, Network{n.name, n.batch, n.size, list.layers, n.bias})
	}
	return all
}

// kernels records the passes of a network's convolutions on an adapter that need not be there, and lists their kernels.
func (n Network) kernels(t *testing.T, a gpu.Adapter) []gpu.Kernel {
	t.Helper()
	r := &Recorder{Dev: &gpu.Device{Adapter: a}, Batch: n.Batch}
	r.Tape = r.Dev.NewTape(n.Name)
	size := uint64(4 << 30)
	buffer := &gpu.Buffer{Label: "all", Size: size}
	r.Weights, r.Grads, r.Unfolded, r.Partial = buffer, buffer, buffer, buffer
	r.Scratch = &Scratch{&gpu.Texture{Label: "scratch", Width: 12288, Height: 16384, TexelSize: 16}}
	for _, l := range n.Layers {
		call, err := l.call(Shape{n.Batch, l.C, l.Size, l.Size})
		if err != nil {
			t.Fatal(err)
		}
		call.In.Buf, call.Out.Buf = buffer, buffer
		call.ReLU = n.Bias
		if !n.Bias {
			call.Bias = Param{}
		}
		for _, p := range []Pass{ConvForward, ConvInputGrad, ConvWeightGrad} {
			if p == ConvInputGrad && l.First {
				continue
			}
			call := call
			if p == ConvInputGrad && n.Bias {
				call.Mask = &call.In
			}
			if err := convVariants.record(r, p, call); err != nil {
				t.Fatalf("%s: %v", n.Name, err)
			}
		}
	}
	return r.Tape.Kernels()
}

var (
	lavapipe = gpu.Adapter{Type: "cpu", VectorWidth: 512, Limits: gpu.Limits{
		MaxComputeInvocationsPerWorkgroup: 1024, MaxComputeWorkgroupSizeX: 1024, MaxComputeWorkgroupStorageSize: 32 << 10,
		MaxComputeWorkgroupsPerDimension: 65535, MaxBufferSize: 1 << 30, MaxStorageBufferBindingSize: 128 << 20,
		MaxStorageBuffersPerShaderStage: 8, MaxTextureDimension2D: 16384, MaxUnrolledProducts: gpu.UnrolledOnLlvmpipe,
	}}
	ordinary = gpu.Adapter{Type: "discrete-gpu", Limits: gpu.Limits{
		MaxComputeInvocationsPerWorkgroup: 1024, MaxComputeWorkgroupSizeX: 1024, MaxComputeWorkgroupStorageSize: 48 << 10,
		MaxComputeWorkgroupsPerDimension: 65535, MaxBufferSize: 4 << 30, MaxStorageBufferBindingSize: 2 << 30,
		MaxStorageBuffersPerShaderStage: 16, MaxTextureDimension2D: 16384, MaxUnrolledProducts: gpu.UnrolledElsewhere,
	}}
)

// TestFewKernels: however many layers and numbers of channels a network has, its convolutions share a few kernels, so that with all other
// operators it compiles at most 60.
func TestFewKernels(t *testing.T) {
	const most = 33
	for _, a := range []gpu.Adapter{lavapipe, ordinary} {
		for _, n := range Networks() {
			kernels := n.kernels(t, a)
			t.Logf("%s, %s at batch %d, %d×%d: %d kernels", a.Type, n.Name, n.Batch, n.Size, n.Size, len(kernels))
			if len(kernels) > most {
				var names []string
				for _, k := range kernels {
					names = append(names, k.Name)
				}
				t.Errorf("%s: %s at batch %d, %d×%d pixels: %d kernels of convolutions, at most %d: %s",
					a.Type, n.Name, n.Batch, n.Size, n.Size, len(kernels), most, strings.Join(names, ", "))
			}
		}
	}
}

// TestPhases: the phases of an input gradient hold each output pixel once, and each tap that reaches a pixel, from the place where it lies.
func TestPhases(t *testing.T) {
	for k := 1; k <= 7; k++ {
		for stride := 1; stride <= 4; stride++ {
			for pad := range k {
				for side := max(1, k-2*pad); side < 12; side++ {
					g := gemm{k: k, pad: k - 1 - pad, dilate: stride}
					seen := make([]bool, side)
					for _, p := range g.phases(side) {
						for i := range p.pixels {
							at := p.first + i*stride
							if seen[at] {
								t.Fatalf("kernel %d, stride %d, padding %d, side %d: pixel %d comes twice", k, stride, pad, side, at)
							}
							seen[at] = true
							reached := map[int]int{} // input pixel by tap
							for j := range g.taps() {
								if tap := p.tap + j*stride; tap < k {
									reached[tap] = i + p.from + j
								}
							}
							want := map[int]int{}
							for tap := range k {
								if from := at - g.pad + tap; from%stride == 0 {
									want[tap] = from / stride
								}
							}
							if !maps.Equal(reached, want) {
								t.Fatalf("kernel %d, stride %d, padding %d, pixel %d: taps reach %v, want %v",
									k, stride, pad, at, reached, want)
							}
						}
					}
					if slices.Contains(seen, false) {
						t.Fatalf("kernel %d, stride %d, padding %d, side %d: pixels %v", k, stride, pad, side, seen)
					}
				}
			}
		}
	}
}
