package shaders_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ninvk/shaders"
)

// specialisations are the sources of every file in every mode that operators ask for.
func specialisations() map[string][]string {
	s := map[string][]string{}
	add := func(name string, data any) { s[name] = append(s[name], shaders.Source(name, data)) }
	for _, name := range []string{
		"bias", "linear_bias", "linear_flatten", "conv_grad_naive", "conv_grad_straight_sum",
		"conv_grad_sum", "conv_naive",
		"conv_tiled_sum", "conv_tiled_weights", "conv_winograd_input", "conv_winograd_output",
		"conv_winograd_weights", "dropout", "metrics", "pairs", "sums",
	} {
		add(name, nil)
	}
	for _, pass := range []string{"linear/forward", "linear/input-gradient", "linear/weight-gradient"} {
		add("linear_naive", map[string]any{"Pass": pass})
	}
	add("gradnorm", map[string]any{"Mode": "part", "Fetched": true})
	for _, mode := range []string{"part", "sum", "scale"} {
		add("gradnorm", map[string]any{"Mode": mode})
	}
	for _, channels := range [][]string{{"x"}, {"x", "y", "z"}, {"x", "y", "z", "w"}} {
		add("augment", map[string]any{"Channels": channels})
	}
	for _, yes := range []bool{false, true} {
		add("loss", map[string]any{"Weighted": yes})
		add("relu", map[string]any{"Grad": yes, "Fetched": yes})
		add("relu", map[string]any{"Grad": yes, "Fetched": !yes})
		add("sgd", map[string]any{"Fetched": yes})
		add("average", map[string]any{"Fetched": yes})
		add("add", map[string]any{"Two": yes, "ReLU": yes})
		add("add", map[string]any{"Two": yes, "ReLU": !yes})
		add("add", map[string]any{"Fetched": true, "ReLU": yes})
		add("linear_sum", map[string]any{"Flat": yes, "Fetched": yes})
		add("linear_sum", map[string]any{"Flat": yes, "Fetched": !yes})
		add("adaptive", map[string]any{"Grad": yes})
		add("subsample", map[string]any{"Grad": yes})
		add("unfold", map[string]any{"Slides": yes})
		add("globalavgpool", map[string]any{"Grad": yes})
		for _, fetched := range []bool{false, true} {
			add("avgpool", map[string]any{"Grad": yes, "Places": false, "Fetched": fetched})
			add("maxpool", map[string]any{"Grad": yes, "Places": true, "AfterReLU": false, "Fetched": fetched})
			add("maxpool", map[string]any{"Grad": yes, "Places": true, "AfterReLU": true, "Fetched": fetched})
		}
		for _, mode := range []string{"statistics", "running", "apply", "grad-sums", "grad-running", "grad-apply"} {
			add("batchnorm", map[string]any{"Mode": mode, "ReLU": yes, "Fetched": yes &&
				(strings.HasSuffix(mode, "apply") || mode == "grad-running")})
		}
		add("batchnorm", map[string]any{"Mode": "grad-running", "ReLU": yes, "Fetched": !yes})
		for _, mode := range []string{"apply", "grad-apply"} {
			add("batchnorm", map[string]any{"Mode": mode, "ReLU": yes, "Fused": true, "Fetched": yes})
		}
		for _, mode := range []string{"forward", "apply", "gradient"} {
			add("batchnorm_whole", map[string]any{"Mode": mode, "ReLU": yes, "Fetched": yes})
			add("batchnorm_whole", map[string]any{"Mode": mode, "ReLU": yes, "InPlace": mode != "gradient"})
		}
		for _, mode := range []string{"sum", "moments", "grad"} {
			add("reduce", map[string]any{"Mode": mode, "ReLU": yes, "Fetched": yes})
			add("reduce", map[string]any{"Mode": mode, "ReLU": yes, "Fetched": !yes})
		}
	}
	for _, t := range []shaders.ConvTile{
		{R: 4, TM: 4, TP: 1, CH: 1, KX: 1, KY: 1, WG: 64, Pointwise: true},
		{R: 8, TM: 4, TP: 2, CH: 3, KX: 3, KY: 3, WG: 64},
		{R: 8, TM: 8, TP: 1, CH: 5, KX: 5, KY: 2, WG: 128, Accumulate: true},
		{R: 4, TM: 4, TP: 1, CH: 4, KX: 3, KY: 3, WG: 64, Masked: true},
		{R: 4, TM: 4, TP: 1, CH: 4, KX: 1, KY: 1, WG: 64, Pointwise: true, Fetched: true},
		{R: 4, TM: 4, TP: 1, CH: 3, KX: 5, KY: 5, WG: 64, Fetched: true, Masked: true, MaskFetched: true},
		{R: 4, TM: 4, TP: 2, CH: 8, KX: 3, KY: 3, WG: 64, Fetched: true, Accumulate: true},
	} {
		s["conv_straight"] = append(s["conv_straight"], t.Source())
	}
	for _, t := range []shaders.ConvGradTile{
		{R: 4, TM: 4, Q: 16, WG: 64},
		{R: 8, TM: 8, Q: 32, WG: 16},
	} {
		s["conv_grad_straight"] = append(s["conv_grad_straight"], t.Source())
	}
	for _, t := range []shaders.LinearTile{
		{WG: 16, R: 4, Q: 16, Aligned: true}, {WG: 64, R: 8, Q: 12, Added: true},
		{WG: 64, R: 8, Q: 16, Turned: true, Aligned: true},
	} {
		s["linear_straight"] = append(s["linear_straight"], t.Source())
		s["linear_grad_straight"] = append(s["linear_grad_straight"], t.Grad())
	}
	for _, t := range []shaders.LinearTiled{
		{BM: 256, BN: 4, Pass: "forward", Aligned: true}, {BM: 128, BN: 16, Pass: "turned"}, {BM: 64, BN: 32, Pass: "grad"},
		{BM: 64, BN: 32, Pass: "grad", Aligned: true},
	} {
		s["linear_tiled"] = append(s["linear_tiled"], t.Source())
	}
	for _, t := range []shaders.ConvTiled{
		{BM: 64, BN: 128, TM: 8, TN: 8, GC: 4, K: 5, Whole: true, Ordered: true, Chained: true},
		{BM: 32, BN: 64, TM: 8, TN: 4, GC: 4, K: 1, Pointwise: true, Aligned: true, Rolled: true},
		{BM: 32, BN: 64, TM: 4, TN: 4, GC: 4, K: 3, Whole: true, Dilated: true},
		{BM: 12, BN: 256, TM: 12, TN: 4, GC: 2, K: 3, Turned: true},
		{BM: 4, BN: 256, TM: 4, TN: 4, GC: 2, K: 3, Turned: true, Dilated: true},
		{BM: 32, BN: 64, TM: 8, TN: 4, GC: 4, K: 5, Missing: 1, Chained: true},
		{BM: 32, BN: 64, TM: 8, TN: 4, GC: 4, K: 3, Whole: true, Ordered: true, Split: true},
		{BM: 4, BN: 256, TM: 4, TN: 4, GC: 2, K: 3, Turned: true, Split: true, Rolled: true},
		{BM: 16, BN: 128, TM: 4, TN: 4, GC: 4, K: 1, Pointwise: true, Ordered: true, Points: true, Missing: 2},
	} {
		s["conv_tiled"] = append(s["conv_tiled"], t.Source())
	}
	for _, t := range []shaders.ConvGradTiled{
		{BM: 64, BN: 32, TM: 8, TN: 2, BP: 16, K: 5},
		{BM: 32, BN: 24, TM: 8, TN: 1, BP: 16, K: 3, Chained: true, Rolled: true},
		{BM: 64, BN: 16, TM: 8, TN: 1, BP: 8, K: 3, Double: true, Chained: true},
		{BM: 12, BN: 64, TM: 12, TN: 1, BP: 8, K: 1, Pointwise: true},
		{BM: 32, BN: 48, TM: 8, TN: 2, BP: 8, K: 1, Pointwise: true, Double: true},
		{BM: 64, BN: 16, TM: 8, TN: 1, BP: 8, K: 5, Double: true, Missing: 1},
		{BM: 32, BN: 24, TM: 8, TN: 1, BP: 16, K: 3, Missing: 3, Rolled: true},
	} {
		s["conv_grad_tiled"] = append(s["conv_grad_tiled"], t.Source())
	}
	return s
}

var binding = regexp.MustCompile(`@group\((\d+)\)\s*@binding\((\d+)\)\s*var(?:<[^>]*>)?\s+(\w+)\s*:`)

func TestSources(t *testing.T) {
	files, err := filepath.Glob("*.wgsl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no shaders found: %v", err)
	}
	all := specialisations()
	for _, file := range files {
		name := strings.TrimSuffix(file, ".wgsl")
		if len(all[name]) == 0 {
			t.Errorf("%s has no specialisation here: add its modes", file)
		}
		for i, source := range all[name] {
			t.Run(fmt.Sprint(name, i), func(t *testing.T) { inspect(t, source) })
		}
	}
	if len(all) != len(files) {
		t.Errorf("%d files, %d are specialised", len(files), len(all))
	}
}

var (
	shared = regexp.MustCompile(`var<(?:workgroup|storage, read_write)>\s+(\w+)\s*:\s*(\S.*);`)
	stored = regexp.MustCompile(`(?m)(?:^|[;{}])\s*(\w+)(\[[^;=]*?\])(\.[xyzw]+)? [-+*/%&|^]?= `)
)

// wholeVectors checks that vectors which invocations share are stored whole: in WGSL a store to a component may write
// the others too, as it does on Metal and DX12, and is a race where other invocations store those (gpuweb/gpuweb#2112).
// No Vulkan driver shows it.
func wholeVectors(t *testing.T, source string) {
	depth := map[string]int{}
	for _, m := range shared.FindAllStringSubmatch(source, -1) {
		depth[m[1]] = strings.Count(m[2], "array<") + strings.Count(m[2], "mat4x4<")
	}
	for _, m := range stored.FindAllStringSubmatch(source, -1) {
		want, ok := depth[m[1]]
		if !ok {
			continue
		}
		indices, open := 0, 0
		for _, r := range m[2] {
			switch r {
			case '[':
				if open == 0 {
					indices++
				}
				open++
			case ']':
				open--
			}
		}
		if indices > want || m[3] != "" {
			t.Errorf("%sstores a part of a vector", m[0])
		}
	}
}

// inspect checks what a compiler would not say, or would say in less helpful words.
func inspect(t *testing.T, source string) {
	wholeVectors(t, source)
	for _, left := range []string{"{{", "}}", "<no value>", "%!"} {
		if strings.Contains(source, left) {
			t.Errorf("%q is left in the source", left)
		}
	}
	if n := strings.Count(source, "fn main("); n != 1 {
		t.Errorf("%d entry points called main, want 1", n)
	}
	if n := strings.Count(source, "@compute"); n != 1 {
		t.Errorf("%d compute entry points, want 1", n)
	}
	// Kernels bind resources in order, so the numbers must run from 0 without holes, and each must be used.
	bindings := binding.FindAllStringSubmatch(source, -1)
	if len(bindings) != strings.Count(source, "@binding(") || len(bindings) == 0 {
		t.Fatalf("%d of %d bindings understood", len(bindings), strings.Count(source, "@binding("))
	}
	code := comments.ReplaceAllString(binding.ReplaceAllString(source, ""), "")
	for i, b := range bindings {
		if b[1] != "0" || b[2] != fmt.Sprint(i) {
			t.Errorf("%s has group %s, binding %s; want 0 and %d", b[3], b[1], b[2], i)
		}
		if !regexp.MustCompile(`\b` + b[3] + `\b`).MatchString(code) {
			t.Errorf("binding %s is not used", b[3])
		}
	}
	if !strings.Contains(bindings[0][0], "var<uniform>") {
		t.Errorf("binding 0 is not the parameters: %s", bindings[0][0])
	}
	for _, pair := range []string{"()", "[]", "{}"} {
		if open, close := strings.Count(code, pair[:1]), strings.Count(code, pair[1:]); open != close {
			t.Errorf("%d %s and %d %s", open, pair[:1], close, pair[1:])
		}
	}
}

var comments = regexp.MustCompile(`//[^\n]*`)

func TestSourcePanicsOnUnknownData(t *testing.T) {
	for name, data := range map[string]any{"no such file": nil, "conv_straight": 3} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			shaders.Source(name, data)
		}()
	}
}

// TestEveryFileSaysWhatItIs keeps the folder readable for whoever looks for an operator's kernel.
func TestEveryFileSaysWhatItIs(t *testing.T) {
	files, err := filepath.Glob("*.wgsl")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "//") && !strings.HasPrefix(string(text), "{{- /*") {
			t.Errorf("%s does not begin with a comment", file)
		}
	}
}

func TestWholeVectors(t *testing.T) {
	for source, right := range map[string]bool{
		"var<workgroup> a: array<vec4<f32>, 4>;\n  a[b[1]] = v;":                                      true,
		"var<workgroup> a: array<vec4<f32>, 4>;\n  a[b[1]][2] = v;":                                   false,
		"var<workgroup> a: array<vec4<f32>, 4>;\n  a[i].x = v;":                                       false,
		"var<workgroup> a: array<array<vec4<f32>, 2>, 4>;\n  if (i < 3u) { a[i][2] = v; }":            true,
		"var<workgroup> a: array<array<vec4<f32>, 2>, 4>;\n  if (i < 3u) { a[i][2][j] = v; }":         false,
		"var<workgroup> a: array<vec4<f32>, 4>;\n  if (i < 3u) { b = 1u; a[i].y += v; }":              false,
		"var<workgroup> a: array<mat4x4<f32>, 4>;\n  a[i][2] = v;":                                    true,
		"var<storage, read_write> a: array<f32>;\n  a[i] = v;\n  var b = vec4<f32>();\n  b[1] = 2.0;": true,
	} {
		found := &testing.T{}
		wholeVectors(found, source)
		if found.Failed() == right {
			t.Errorf("%q: failed %v", source, found.Failed())
		}
	}
}
