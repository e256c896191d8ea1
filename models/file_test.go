package models_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/ci/slow"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/pth"
	"ninvk/safetensors"
)

// named are weights of a model for a number of classes, under the names that name gives.
func named(t testing.TB, model string, classes int, name func(string) string) []safetensors.Tensor {
	t.Helper()
	g, _, err := models.Build(models.Config{Model: model, Classes: classes, Size: 64})
	if err != nil {
		t.Fatal(err)
	}
	var all []safetensors.Tensor
	for _, p := range g.Params() {
		if p.Role == nn.BatchesTracked {
			all = append(all, safetensors.FromInt64(name(p.Name), 7))
			continue
		}
		v := make([]float32, p.Len())
		for i := range v {
			v[i] = float32(i%255) / 8
		}
		all = append(all, safetensors.FromFloat32s(name(p.Name), p.Shape, v))
	}
	return all
}

func front(prefix string) func(string) string {
	return func(s string) string { return prefix + s }
}

// converted are tensors in another type of floats.
func converted(list []safetensors.Tensor, dtype string) []safetensors.Tensor {
	out := slices.Clone(list)
	for i, x := range list {
		if x.DType == "I64" {
			continue
		}
		v, err := x.Float32s()
		if err != nil {
			panic(err)
		}
		out[i].DType, out[i].Data = dtype, nil
		for _, y := range v {
			switch dtype {
			case "F64":
				out[i].Data = binary.LittleEndian.AppendUint64(out[i].Data, math.Float64bits(float64(y)))
			case "BF16":
				out[i].Data = binary.LittleEndian.AppendUint16(out[i].Data, uint16(math.Float32bits(y)>>16))
			}
		}
	}
	return out
}

// Weights are found whatever is in front of their names and beside them, and it is said what was done.
func TestFindsWeights(t *testing.T) {
	plain := named(t, "nin-bn", 10, front(""))
	want, err := safetensors.Encode(&safetensors.File{Tensors: plain, Metadata: map[string]string{"format": "pt",
		models.ModelKey: "nin-bn", models.ChannelsKey: "3"}})
	if err != nil {
		t.Fatal(err)
	}
	extra := safetensors.FromFloat32s("n_averaged", []int{}, []float32{3})
	for _, c := range []struct {
		name    string
		tensors []safetensors.Tensor
		done    []string
	}{
		{"plain", plain, nil},
		{"DataParallel", named(t, "nin-bn", 10, front("module.")), []string{"prefix module. dropped"}},
		{"compiled", named(t, "nin-bn", 10, front("_orig_mod.")), []string{"prefix _orig_mod. dropped"}},
		{"Lightning", named(t, "nin-bn", 10, front("model.")), []string{"prefix model. dropped"}},
		{"all of them", named(t, "nin-bn", 10, front("model._orig_mod.module.")),
			[]string{"prefix model._orig_mod.module. dropped"}},
		{"nn.Sequential", named(t, "nin-bn", 10, func(s string) string { return strings.TrimPrefix(s, "classifier.") }),
			[]string{"names without classifier. taken as those of an nn.Sequential"}},
		{"nn.Sequential in DataParallel", named(t, "nin-bn", 10,
			func(s string) string { return "module." + strings.TrimPrefix(s, "classifier.") }),
			[]string{"prefix module. taken for classifier."}},
		{"another name", named(t, "nin-bn", 10, func(s string) string {
			return strings.Replace(s, "classifier",
				"features", 1)
		}),
			[]string{"prefix features. taken for classifier."}},
		{"averaged", append(named(t, "nin-bn", 10, front("module.")), extra), []string{"prefix module. dropped",
			"passed over: n_averaged []"}},
		{"beside", append(slices.Clone(plain), extra), []string{"passed over: n_averaged []"}},
		{"double", converted(plain, "F64"), []string{"float64 rounded to float32"}},
		{"twice", append(slices.Clone(plain), named(t, "nin-bn", 10, front("ema."))...), nil},
	} {
		n, err := models.NewNetwork("w", &safetensors.File{Tensors: c.tensors}, models.Given{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if c.name == "twice" {
			if len(n.Done) != 2 || n.Done[0] != "ema.classifier would fit as well" || !strings.HasSuffix(n.Done[1],
				"and 58 more") {
				t.Errorf("twice: %q", n.Done)
			}
		} else if diff := cmp.Diff(c.done, n.Done); diff != "" {
			t.Errorf("%s: -want +done:\n%s", c.name, diff)
		}
		got, err := safetensors.Encode(n.Content())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: not the weights", c.name)
		}
	}
}

// The models and the number of classes are told apart by names and shapes.
func TestFindsModel(t *testing.T) {
	for _, model := range models.Names() {
		for _, classes := range []int{2, 10, 100} {
			if strings.HasPrefix(model, "vgg") && !slow.Wanted() { // half a gigabyte each
				continue
			}
			n, err := models.NewNetwork("w", &safetensors.File{Tensors: named(t, model, classes, front("module."))},
				models.Given{})
			if err != nil {
				t.Fatal(err)
			}
			if n.Model != model || len(n.Classes) != classes || n.Logits.Shape.C != classes {
				t.Errorf("%s for %d classes is taken as %s for %d", model, classes, n.Model, len(n.Classes))
			}
		}
	}
}

// What does not fit is shown beside what is wanted, with the models that it would fit.
func TestUnsuitable(t *testing.T) {
	cut := named(t, "nin-bn", 4, front("module."))
	cut = slices.DeleteFunc(cut, func(x safetensors.Tensor) bool { return x.Name == "module.classifier.29.running_var" })
	for _, c := range []struct {
		name    string
		tensors []safetensors.Tensor
		given   models.Given
		parts   []string
	}{
		{"one is missing", cut, models.Given{}, []string{
			"fit none of " + strings.Join(models.Names(), ", ") + "; nin-bn comes nearest, but tensor " +
				"module.classifier.29.running_var is missing (1 of the network's 63 are)",
			"wanted are classifier.29.running_var [4]"}},
		{"another was asked for", named(t, "nin-bn", 4, front("module.")), models.Given{Model: "nin"}, []string{
			"not those of nin;", "in the file are ", "module.classifier.1.weight [192]", "they fit nin-bn: choose " +
				"that by --model"}},
		{"of nothing", []safetensors.Tensor{safetensors.FromFloat32s("conv1.weight\x1b[2J", []int{1}, []float32{1})},
			models.Given{Model: "nin"}, []string{
				`in the file are "conv1.weight\x1b[2J" [1]; wanted are classifier.0.weight [192 3 5 5], classifier.0.bias [192]`,
				"they fit none of"}},
		{"of no tensors", nil, models.Given{}, []string{"in the file are no tensors"}},
	} {
		_, err := models.NewNetwork("w", &safetensors.File{Tensors: c.tensors}, c.given)
		if !errors.As(err, new(*models.WeightsError)) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, part := range c.parts {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q lacks %q", c.name, err, part)
			}
		}
	}
}

// A flag wins over the file, the file over what is assumed; what is written holds what is known alone.
func TestWhoTells(t *testing.T) {
	tensors := named(t, "nin", 3, front(""))
	told := map[string]string{models.ModelKey: "nin", models.ClassesKey: `["a","b","c"]`, models.MeanKey: "[0.1,0.2,0.3]",
		models.StdKey: "[1,1,1]", models.SizeKey: "24"}
	half := []float64{0.5, 0.5, 0.5}
	for _, c := range []struct {
		name     string
		metadata map[string]string
		given    models.Given
		classes  string
		mean     []float64
		assumed  []string
	}{
		{"nobody", nil, models.Given{}, "class 0 class 1 class 2", []float64{0.485, 0.456, 0.406},
			[]string{"w does not tell all; assumed: mean 0.485,0.456,0.406; deviation 0.229,0.224,0.225; 3 classes " +
				"named class 0, class 1, class 2; input of 32×32 pixels (flags: --mean, --std, --classes)"}},
		{"the file", told, models.Given{}, "a b c", []float64{0.1, 0.2, 0.3}, nil},
		{"flags", told, models.Given{Classes: []string{"x", "y", "z"}, Mean: half, Std: half}, "x y z", half, nil},
		{"some flags", nil, models.Given{Classes: []string{"x", "y", "z"}}, "x y z", []float64{0.485, 0.456, 0.406},
			[]string{"(flags: --mean, --std)"}},
	} {
		n, err := models.NewNetwork("w", &safetensors.File{Tensors: tensors, Metadata: c.metadata}, c.given)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(n.Classes, " "); got != c.classes || !slices.Equal(n.Mean, c.mean) {
			t.Errorf("%s: classes %s, mean %v", c.name, got, n.Mean)
		}
		if s := n.Assumed(); (s == "") != (c.assumed == nil) {
			t.Errorf("%s: assumed %q", c.name, s)
		}
		for _, part := range c.assumed {
			if !strings.Contains(n.Assumed(), part) {
				t.Errorf("%s: %q lacks %q", c.name, n.Assumed(), part)
			}
		}
		again, err := models.NewNetwork("w", n.Content(), models.Given{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(n.Metadata, again.Metadata); diff != "" || again.Assumed() != n.Assumed() {
			t.Errorf("%s: what was written tells another story (-read +written and read):\n%s", c.name, diff)
		}
	}
	n, err := models.NewNetwork("w", &safetensors.File{Tensors: tensors, Metadata: told}, models.Given{})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.NameClasses([]string{"x", "y"}); !errors.As(err, new(*models.ClassesError)) {
		t.Errorf("a data set of two classes: %v", err)
	}
	if err := n.NameClasses([]string{"a", "y", "c"}); err != nil || n.Classes[1] != "b" || n.OtherNames([]string{"a",
		"b", "c"}, "d") != "" {
		t.Errorf("a data set of three classes: %v, %q", err, n.Classes)
	}
	if s := n.OtherNames([]string{"a", "y", "c"}, "d"); s != "class 1 is b to w and y to the data set d; classes are "+
		"taken by their number" {
		t.Error(s)
	}
	if _, err := models.NewNetwork("w", &safetensors.File{Tensors: tensors},
		models.Given{Classes: []string{"x"}}); !errors.As(err, new(*models.ClassesError)) ||
		err.Error() != "w has 3 classes, but 1 are named" {
		t.Errorf("one name for three classes: %v", err)
	}
}

func TestParseGiven(t *testing.T) {
	file := filepath.Join(t.TempDir(), "classes")
	if err := os.WriteFile(file, []byte("\ufeffcat\r\n dog \r\n\r\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{"a,b": "a b", " a , b ": "a b", file: "cat dog"} {
		if got, err := models.ParseClasses(text); err != nil || strings.Join(got, " ") != want {
			t.Errorf("classes %q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"a", "", ",", "a,,b", "a,\x1b", t.TempDir(), "\xff,b"} {
		if got, err := models.ParseClasses(text); err == nil {
			t.Errorf("classes %q: %q", text, got)
		}
	}
	for text, want := range map[string][]float64{"0.5": {0.5}, "0": {0}, "0.1, 0.2,1": {0.1, 0.2, 1}} {
		if got, err := models.ParseMean(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("mean %q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "a", "1,2", "0.1,0.2,0.3,0.4", "NaN", "-0.1", "127.5", "Inf"} {
		if got, err := models.ParseMean(text); err == nil {
			t.Errorf("mean %q: %v", text, got)
		}
	}
	if got, err := models.ParseStd("0"); err == nil {
		t.Errorf("deviation 0: %v", got)
	}
}

// Files that are no weights are named as what they are.
func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ content, want string }{
		{"", "empty"},
		{"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", "git lfs pull"},
		{"\n <!DOCTYPE html><html>", "HTML page"},
		{"\ufeff<html lang=\"en\">", "HTML page"},
		{"<?xml version=\"1.0\"?><Error>", "XML"},
		{`{"error": "not found"}`, "JSON"},
		{`{"metadata": {}, "weight_map": {}}`, "index of weights"},
		{"[1, 2]", "JSON"},
		{"Entry not found", `"Entry not found"`},
		{"\x1f\x8b\x08\x00aaaaaaaaaa", "gunzip"},
		{"\x89HDF\r\n\x1a\n", "HDF5"},
		{"\x93NUMPY\x01\x00", "NumPy"},
		{"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00}\x94.", "torch.save did not write"},
		{"\x08\x07\x12\x05ninvk", "ONNX"},
		{"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "zeros"},
		{"PK\x05\x06" + strings.Repeat("\x00", 18), "empty"},
		{"PK\x03\x04", "zip archive is damaged"},
		{"\x02\x00\x00\x00\x00\x00\x00\x00[]", "does not start with '{'"},
		{strings.Repeat("a", 257) + "ustar" + strings.Repeat("\x00", 300), "tar archive"},
	} {
		path := filepath.Join(dir, "w.pth")
		if err := os.WriteFile(path, []byte(c.content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := models.ReadFile(path); err == nil || !strings.HasPrefix(err.Error(), path) ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%.20q: %v, want %q", c.content, err, c.want)
		}
	}
	if _, err := models.ReadFile(os.DevNull); !errors.As(err, new(*models.WeightsError)) || !strings.Contains(err.Error(),
		"not a regular file") {
		t.Errorf("a device: %v", err)
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, nil, 0o644); err == nil {
		err = os.Truncate(large, 1<<40)
		if _, e := models.ReadFile(large); err == nil && (e == nil || !strings.Contains(e.Error(),
			"1099511627776 bytes")) {
			t.Errorf("a very large file: %v", e)
		}
	}
}

// FuzzReadFile: whatever a file holds, it is weights or an error of a known kind, and all that is said of it can be
// shown.
func FuzzReadFile(f *testing.F) {
	for _, pattern := range []string{"../pth/testdata/*.pth", "../safetensors/testdata/*.safetensors"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal("no files: ", err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	path := filepath.Join(f.TempDir(), "w")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		file, err := models.ReadFile(path)
		if err == nil {
			for _, r := range file.Rows() {
				if s := fmt.Sprint(r.Name, r.Kind); strings.ContainsAny(s, "\x1b\n\x00") {
					t.Errorf("%q is shown", s)
				}
			}
			_, err = file.Network(models.Given{})
		}
		if err != nil && !errors.As(err, new(*models.WeightsError)) && !errors.As(err, new(*pth.FormatError)) &&
			!errors.As(err, new(*safetensors.FormatError)) {
			t.Errorf("%T: %v", err, err)
		}
	})
}

// A checkpoint of training is a weights file: its averages are the weights where it has some, and its momenta none.
func TestCheckpointAsWeights(t *testing.T) {
	for _, averaged := range []bool{false, true} {
		f := pretrained(t).Content()
		f.Metadata[models.CheckpointKey] = "{}"
		first := f.Tensors[0]
		want, err := first.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		if averaged {
			want = make([]float32, len(want))
			for i := range want {
				want[i] = float32(i % 7)
			}
		}
		for _, x := range slices.Clone(f.Tensors) {
			if x.DType == "I64" {
				continue
			}
			x.Name = models.MomentumPrefix + x.Name
			f.Tensors = append(f.Tensors, x)
		}
		if averaged {
			f.Tensors = append(f.Tensors, safetensors.FromFloat32s(models.AveragePrefix+first.Name, first.Shape, want))
		}
		n, err := models.FileOf("checkpoint", f).Network(models.Given{})
		if err != nil {
			t.Fatal(err)
		}
		if n.Model != "nin-bn" || len(n.Notes()) > 0 {
			t.Errorf("%s; %q", n.Model, n.Notes())
		}
		if diff := cmp.Diff(want, n.Weights.Values()[0]); diff != "" {
			t.Errorf("averaged %v: other weights than the checkpoint's", averaged)
		}
	}
}
