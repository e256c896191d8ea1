package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/check"
	"ninvk/ci/slow"
	"ninvk/cifar10"
	"ninvk/gpu"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/ops"
	"ninvk/safetensors"
	"ninvk/train"
)

// binary is the program, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "ninvk")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "ninvk")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building ninvk: %v\n%s", err, out)
		os.Exit(1)
	}
	code := slow.Run(m, "TestPretrainedAccuracy", "TestFullFileSystem", "TestPageInChromium",
		"TestPageOfManyClassesInChromium", "TestAccuracyOfGreyImages", "TestFineTuningOfPhotos NINVK_PHOTOS",
		"TestRanks", "TestFaultsOfRanks", "TestFullDiskOfRanks", "TestOtherDataOfARank", "TestRanksOnTwoMachines",
		"TestForecast")
	os.RemoveAll(dir)
	os.Exit(code)
}

// run runs the program in dir and returns its exit code and output.
func run(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	c := exec.Command(binary, args...)
	c.Dir, c.Stdout, c.Stderr = dir, &out, &errs
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), out.String(), errs.String()
}

// write puts files into a folder.
func write(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// records makes n records of a split, with the label of the last one changed by with.
func records(n int, with byte) []byte {
	b := make([]byte, n*cifar10.RecordBytes)
	for i := range n {
		b[i*cifar10.RecordBytes] = byte(i % cifar10.Classes)
	}
	b[(n-1)*cifar10.RecordBytes] = with
	return b
}

// weights makes a weights file of nin, changed by change.
func weights(t *testing.T, change func(f *safetensors.File)) []byte {
	t.Helper()
	g, _, err := models.Build(models.Config{Model: "nin", Classes: cifar10.Classes, Size: cifar10.Width})
	if err != nil {
		t.Fatal(err)
	}
	f := &safetensors.File{}
	for _, p := range g.Params() {
		if p.Role != nn.BatchesTracked {
			f.Tensors = append(f.Tensors, safetensors.FromFloat32s(p.Name, p.Shape, make([]float32, p.Len())))
		}
	}
	change(f)
	b, err := safetensors.Encode(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	good := records(64, 1)
	few := bytes.Clone(good)
	for i := 0; i < len(few); i += cifar10.RecordBytes {
		few[i] %= 4
	}
	whole := weights(t, func(*safetensors.File) {})
	write(t, dir, map[string][]byte{
		"good/data_batch_1.bin": good, "good/test_batch.bin": good,
		"empty/readme":         {},
		"cut/data_batch_1.bin": good[:len(good)-100], "cut/test_batch.bin": good,
		"label/data_batch_1.bin": records(64, 10), "label/test_batch.bin": good,
		"notest/data_batch_1.bin": good,
		"missing.safetensors":     weights(t, func(f *safetensors.File) { f.Tensors = f.Tensors[1:] }),
		"extra.safetensors": weights(t, func(f *safetensors.File) {
			f.Tensors = append(f.Tensors, safetensors.FromFloat32s("classifier.99.weight", []int{1}, []float32{1}))
		}),
		"shape.safetensors": weights(t, func(f *safetensors.File) {
			f.Tensors[0] = safetensors.FromFloat32s(f.Tensors[0].Name, []int{192, 75}, make([]float32, 192*75))
		}),
		"nan.safetensors": weights(t, func(f *safetensors.File) {
			f.Tensors[1] = safetensors.FromFloat32s(f.Tensors[1].Name, f.Tensors[1].Shape,
				append(make([]float32, 191), float32(math.NaN())))
		}),
		"steep.safetensors": weights(t, func(f *safetensors.File) { // finite, but what a layer makes of them is not
			for i, x := range f.Tensors {
				f.Tensors[i] = safetensors.FromFloat32s(x.Name, x.Shape, slices.Repeat([]float32{1e30}, len(x.Data)/4))
			}
		}),
		"truncated.safetensors": whole[:300],
		"whole.safetensors":     whole,
		"code.pth":              testdata(t, "code.pth"),
		"state.pth":             testdata(t, "state.pth"),
		"size.safetensors": weights(t, func(f *safetensors.File) {
			f.Metadata = map[string]string{models.ModelKey: "nin", models.SizeKey: "huge"}
		}),
		"broken.png":            []byte("\x89PNG\r\n\x1a\n and no more"),
		"text.jpg":              []byte("not an image\n"),
		"four/batches.meta.txt": []byte("a\nb\nc\nd\n"), "four/data_batch_1.bin": few, "four/test_batch.bin": few,
		"unnamed/batches.meta.txt": []byte("a\nb\nc\n"), "unnamed/data_batch_1.bin": good, "unnamed/test_batch.bin": good,
		"oversized.safetensors": append([]byte{0, 0, 0, 0, 0, 1, 0, 0}, whole[8:]...),
		"file":                  {1},
		"bad.toml":              []byte("epochs = \"many\"\n"),
		"taken/metrics.jsonl":   {},
		"saved/config.toml":     {},
		"torn/config.toml":      {},
		"torn/metrics.jsonl":    []byte("{\"type\":\n\n"),
		"saved/checkpoint/step-000000000004.safetensors": whole,
	})
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	cases := []struct {
		name string
		args string
		code int
		want []string // parts of the message
	}{
		{"missing folder", "train --data nowhere", exitBadFile, []string{"nowhere"}},
		{"empty folder", "train --data empty", exitBadFile, []string{"empty", "holds no data", "a folder of classes"}},
		{"not a whole number of records", "train --data cut", exitBadFile, []string{"data_batch_1.bin", "3073"}},
		{"label above 9", "train --data label", exitBadFile, []string{"data_batch_1.bin", "10", "193599"}},
		{"no test file", "train --data notest", exitBadFile, []string{"test_batch.bin"}},
		{"weights missing", "train --data good --model nin --batch 8 --init nowhere.safetensors", exitBadFile,
			[]string{"nowhere.safetensors: no such file"}},
		{"tensor missing", "train --data good --model nin --batch 8 --init missing.safetensors", exitBadFile,
			[]string{"classifier.0.weight", "missing"}},
		{"tensor too many", "train --data good --model nin --batch 8 --init extra.safetensors", exitBadFile,
			[]string{"classifier.99.weight"}},
		{"tensor of wrong shape", "train --data good --model nin --batch 8 --init shape.safetensors", exitBadFile,
			[]string{"classifier.0.weight", "[192 75]", "[192 3 5 5]"}},
		{"NaN in weights", "train --data good --model nin --batch 8 --init nan.safetensors", exitBadFile,
			[]string{"classifier.0.bias", "191", "NaN"}},
		{"tuning for no image", "tune --batch 0", exitUsage, []string{"--batch", "0", "at least 1"}},
		{"tuning of an unknown network", "tune --model vgg", exitUsage, []string{"vgg", "nin-bn"}},
		{"tuning in negative time", "tune --budget=-1s", exitUsage, []string{"--budget", "-1s"}},
		{"truncated weights", "eval --data good --weights truncated.safetensors", exitBadFile,
			[]string{"truncated.safetensors"}},
		{"oversized header", "eval --data good --weights oversized.safetensors", exitBadFile,
			[]string{"oversized.safetensors", "header"}},
		{"weights of another model", "eval --data good --model nin-bn --weights extra.safetensors", exitBadFile,
			[]string{"extra.safetensors", "not those of nin-bn", "classifier.", "wanted are"}},
		{"unknown model", "train --data good --model vgg", exitUsage, []string{"vgg", "nin-bn", "nin-imagenet"}},
		{"unknown recipe", "train --data good --recipe soup", exitUsage, []string{"soup", "seed", "paper", "fast"}},
		{"unknown recipe to show", "recipes show soup", exitUsage, []string{`NAME "soup"`, "seed", "paper", "fast"}},
		{"sizes that are not below the run's", "train --data good --sizes 16:0.3,32:0.3", exitUsage,
			[]string{"--sizes", "32 pixels are not below", "--resize"}},
		{"sizes above a smaller run's", "train --data good --resize 16 --sizes 24:0.5", exitUsage,
			[]string{"--sizes", "24 pixels", "size, 16"}},
		{"size without a share", "train --data good --sizes 16", exitUsage, []string{"--sizes", "16:0.6"}},
		{"size too small for the network", "train --data good --model nin-imagenet --batch 8 --sizes 16:0.6", exitUsage,
			[]string{"--sizes", "16", "39"}},
		{"averaging that never moves", "train --data good --ema 1", exitUsage, []string{"--ema", "below 1"}},
		{"evaluating fewer than no images", "train --data good --eval-train -1", exitUsage, []string{"--eval-train"}},
		{"unknown adapter", "train --data good --batch 8 --adapter voodoo", exitNoAdapter,
			[]string{"voodoo", "known adapters"}},
		{"batch larger than the split", "train --data good --batch 65", exitUsage, []string{"--batch", "64 images"}},
		{"batch larger than the adapter", "train --data sample --model nin-imagenet --batch 1000", exitLost,
			[]string{"1000 images", "--batch"}},
		{"unwritable folder", "train --data good --model nin --batch 8 --out file/run", exitOther,
			[]string{"file/run", "--out"}},
		{"a run is there", "train --data good --model nin --batch 8 --out taken", exitUsage, []string{"taken"}},
		{"resuming what is no run", "train --resume empty", exitUsage, []string{"--resume", "empty", "config.toml"}},
		{"resuming what are weights", "train --resume whole.safetensors", exitBadFile,
			[]string{"whole.safetensors", "weights",
				"--init"}},
		{"resuming a file that is cut off", "train --resume truncated.safetensors", exitBadFile,
			[]string{"truncated.safetensors", "damaged"}},
		{"resuming from a damaged checkpoint", "train --resume saved", exitBadFile,
			[]string{"step-000000000004.safetensors", "checksum"}},
		{"page without a port", "train --data good --serve localhost", exitUsage, []string{"--serve", "localhost", ":PORT"}},
		{"page on a port in use", "train --data good --serve " + port.Addr().String(), exitUsage,
			[]string{"--serve", port.Addr().String(), "in use"}},
		{"runs of a missing folder", "runs nowhere", exitUsage, []string{"nowhere", "no such file"}},
		{"runs of which one is damaged", "runs torn", exitOther, []string{"torn/", "1 of 1 run folders"}},
		{"picture of no run", "plot --out new.png", exitUsage, []string{"run"}},
		{"picture of what is no run", "plot good --out new.png", exitUsage, []string{"good", "config.toml"}},
		{"picture of a damaged run", "plot torn --out new.png", exitBadFile, []string{"torn/"}},
		{"picture of too many runs", "plot a b c d e f g h i j k l m --out new.png", exitUsage, []string{"13", "at most 12"}},
		{"picture of runs without a name", "plot saved", exitUsage, []string{"--out"}},
		{"picture of runs in no folder", "plot saved --out nowhere/new.png", exitUsage, []string{"--out", "nowhere"}},
		{"unknown answer to divergence", "train --data good --on-divergence pray", exitUsage,
			[]string{"--on-divergence", "rollback"}},
		{"no steps", "train --data good --max-steps 0", exitUsage, []string{"--max-steps"}},
		{"no images a step", "train --data good --batch 0", exitUsage, []string{"--batch"}},
		{"dropout of 1", "train --data good --dropout 1", exitUsage, []string{"--dropout"}},
		{"unknown schedule", "train --data good --schedule never", exitUsage, []string{"never"}},
		{"image too small for the network", "train --data good --model nin-imagenet --batch 8 --resize 16", exitUsage,
			[]string{"--resize", "16", "smallest", "nin-imagenet"}},
		{"image too large for the network", "train --data good --model nin --batch 8 --resize 600", exitUsage,
			[]string{"--resize", "600", "150×150"}},
		{"evaluation at a size too large", "eval --data good --resize 4096", exitUsage,
			[]string{"--resize", "4096", "1024×1024"}},
		{"epochs without number", "train --data good --epochs 9223372036854775807", exitUsage,
			[]string{"--epochs", "9223372036854775807", "1000000"}},
		{"weights that are a folder", "eval --data good --weights good", exitBadFile, []string{"good: is a directory"}},
		{"filters into another format", "filters --out filters.jpg", exitUsage, []string{"--out", "filters.jpg", ".png"}},
		{"a plot into another format", "plot taken --out plot.svg", exitUsage, []string{"--out", "plot.svg", ".png"}},
		{"a bench picture into another format", "bench --plot bench.pdf", exitUsage, []string{"--plot", "bench.pdf", ".png"}},
		{"export over the weights", "export --weights whole.safetensors --model nin --format onnx --out ./whole.safetensors",
			exitUsage, []string{"--out", "weights file itself"}},
		{"import over the checkpoint", "import --weights state.pth --model nin --out ./state.pth", exitUsage,
			[]string{"--out", "checkpoint itself"}},
		{"activations over the image", "activations broken.png --layer classifier.0 --out ./broken.png", exitUsage,
			[]string{"--out", "is the image"}},
		{"too few classes", "eval --data good --weights whole.safetensors --classes cat,dog", exitUsage,
			[]string{"whole.safetensors has 10 classes, but 2 are named"}},
		{"classes from no file", "predict broken.png --classes nowhere", exitUsage,
			[]string{"--classes nowhere: no such file"}},
		{"a class without a name", "predict broken.png --classes a,,c", exitUsage,
			[]string{"--classes a,,c", "class 1 has no name"}},
		{"a mean of bytes", "eval --data good --mean 123.7,116.3,103.5", exitUsage, []string{"--mean 123.7",
			"from 0 to 1", "divided by 255"}},
		{"a deviation of nothing", "eval --data good --std 0", exitUsage, []string{"--std 0", "1e-06"}},
		{"a mean of two numbers", "export --weights whole.safetensors --format onnx --out new.onnx --mean 0.5,0.5",
			exitUsage, []string{"--mean", "one number, or 3"}},
		{"training with a mean that is none", "train --data good --mean grey", exitUsage, []string{"--mean grey",
			"not a number"}},
		{"evaluation on other classes", "eval --data four --weights whole.safetensors", exitBadFile,
			[]string{"whole.safetensors", "10 classes", "four has 4"}},
		{"training from weights for other classes", "train --data four --model nin --batch 8 --init whole.safetensors",
			exitBadFile, []string{"whole.safetensors", "10 classes", "four has 4"}},
		{"labels that have no class", "train --data unnamed", exitBadFile, []string{"unnamed/data_batch_1.bin",
			"label 3", "0 to 2", "batches.meta.txt"}},
		{"weights that say they are another network's", "predict --model nin broken.png", exitBadFile,
			[]string{"weights of nin-bn", "--model"}},
		{"unknown flag", "train --speed 9", exitUsage, []string{"--speed"}},
		{"value of the wrong kind", "train --epochs many", exitUsage, []string{"many"}},
		{"bad settings file", "train --data good --config bad.toml", exitBadFile, []string{"bad.toml", "epochs"}},
		{"export of a format unknown", "export --weights extra.safetensors --format caffe --out new", exitUsage,
			[]string{"caffe", "onnx"}},
		{"export without a format", "export --weights extra.safetensors --out new", exitUsage, []string{"--format"}},
		{"export of weights that lack a tensor",
			"export --weights missing.safetensors --model nin --format onnx --out new.onnx", exitBadFile,
			[]string{"classifier.0.weight", "missing"}},
		{"export of weights that fit nothing", "export --weights extra.safetensors --format onnx --out new.onnx",
			exitBadFile, []string{"extra.safetensors", "fit none of nin, nin-bn, nin-imagenet", "classifier.99.weight",
				"does not belong"}},
		{"resized safetensors", "export --weights extra.safetensors --format safetensors --resize 64 --out new", exitUsage,
			[]string{"--resize", "onnx"}},
		{"folded safetensors", "export --weights extra.safetensors --format safetensors --fold-bn --out new", exitUsage,
			[]string{"--fold-bn", "onnx"}},
		{"export into a missing folder", "export --weights whole.safetensors --format onnx --out nowhere/new.onnx",
			exitUsage, []string{"--out nowhere/new.onnx: there is no folder nowhere\n"}},
		{"import into a missing folder", "import --weights state.pth --out nowhere/new.safetensors", exitUsage,
			[]string{"--out nowhere/new.safetensors: there is no folder nowhere\n"}},
		{"export over a folder", "export --weights whole.safetensors --format onnx --out good", exitUsage,
			[]string{"--out good: is a folder"}},
		{"export to a size too small",
			"export --weights whole.safetensors --model nin --resize -5 --format onnx --out new.onnx", exitUsage,
			[]string{"--resize", "-5"}},
		{"import of an image", "import --weights broken.png --out new.safetensors", exitBadFile,
			[]string{"broken.png: it is a PNG image"}},
		{"import of code", "import --weights code.pth --out new.safetensors", exitBadFile,
			[]string{"code.pth", "posix.system"}},
		{"import of another network", "import --weights state.pth --out new.safetensors", exitBadFile,
			[]string{"state.pth", "fit none of", "classifier.0.weight [4 3 3 3]", "wanted are"}},
		{"import of another network as nin", "import --weights state.pth --model nin --out new.safetensors", exitBadFile,
			[]string{"state.pth", "classifier.0.weight", "[192 3 5 5]"}},
		{"import of a missing file", "import --weights nowhere.pth --out new.safetensors", exitBadFile,
			[]string{"nowhere.pth: no such file"}},
		{"evaluation of a size that is none", "eval --data good --weights size.safetensors", exitBadFile,
			[]string{"size.safetensors", "ninvk.size", "huge"}},
		{"evaluation of outputs that are no numbers", "eval --data good --model nin --weights steep.safetensors", exitBadFile,
			[]string{"steep.safetensors", "not numbers"}},
		{"evaluation into a file", "eval --data good --out file", exitUsage, []string{"--out", "file"}},
		{"prediction of nothing", "predict", exitUsage, []string{"image"}},
		{"prediction of what is not there", "predict nowhere.png", exitOther,
			[]string{"nowhere.png: no such file", "1 of 1 images"}},
		{"prediction of what is no image", "predict broken.png text.jpg", exitOther,
			[]string{"broken.png: a damaged PNG", "text.jpg: not an image", "2 of 2 images"}},
		{"prediction of a folder without images", "predict good", exitOther, []string{"good: no images", "1 of 1"}},
		{"prediction of no classes", "predict --top 0 broken.png", exitUsage, []string{"--top", "from 1 to 10"}},
		{"prediction of too many classes", "predict --top 11 broken.png", exitUsage, []string{"--top", "11"}},
		{"prediction of no images a batch", "predict --batch 0 broken.png", exitUsage, []string{"--batch"}},
		{"maps of an unknown class", "predict --cam new.png --class unicorn broken.png", exitUsage,
			[]string{"--class", "unicorn", "airplane, automobile"}},
		{"maps of a class that are not drawn", "predict --class cat broken.png", exitUsage, []string{"--class", "--cam"}},
		{"a map over an image", "predict --cam broken.png broken.png", exitUsage, []string{"--cam", "one of the images"}},
		{"maps in the images' folder", "predict --cam . broken.png", exitUsage,
			[]string{"--cam", "broken.png", "another folder"}},
		{"maps in no folder", "predict --cam nowhere/new.png broken.png", exitUsage, []string{"--cam", "nowhere"}},
		{"maps in a file", "predict --cam file broken.png", exitUsage, []string{"--cam", "file"}},
		{"stdin twice", "predict - -", exitUsage, []string{"stdin", "once"}},
		{"prediction with weights that are cut off", "predict --weights truncated.safetensors broken.png", exitBadFile,
			[]string{"truncated.safetensors"}},
		{"prediction with weights that are not there", "predict --weights nowhere.safetensors broken.png", exitBadFile,
			[]string{"nowhere.safetensors"}},
		{"filters in no folder", "filters --out nowhere/new.png", exitUsage, []string{"--out", "nowhere"}},
		{"filters of weights that lack a tensor", "filters --weights missing.safetensors --model nin --out new.png",
			exitBadFile, []string{"classifier.0.weight"}},
		{"activations of no layer", "activations broken.png --out new.png", exitUsage,
			[]string{"name one", "classifier.0", "conv 5×5"}},
		{"activations of an unknown layer", "activations broken.png --layer conv1 --out new.png", exitUsage,
			[]string{`"conv1"`, "classifier.0", "conv 5×5"}},
		{"activations of what is no image", "activations broken.png --layer classifier.0 --out new.png", exitBadFile,
			[]string{"broken.png", "damaged PNG"}},
		{"activations of what is not there", "activations nowhere.png --layer classifier.0 --out new.png", exitOther,
			[]string{"nowhere.png"}},
		{"activations in no folder", "activations broken.png --layer classifier.0 --out nowhere/new.png", exitUsage,
			[]string{"--out", "nowhere"}},
		{"unknown split", "eval --weights extra.safetensors --split both", exitUsage, []string{"both"}},
		{"verify of a smaller set", "data verify good", exitBadFile, []string{"data_batch_1.bin"}},
		{"verify of weights", "data verify state.pth", exitBadFile, []string{"state.pth", "a file of weights"}},
		{"benchmark of an unknown model", "bench --model vgg", exitUsage, []string{"vgg", "nin-bn"}},
		{"benchmark without images", "bench --batch 0", exitUsage, []string{"--batch"}},
		{"benchmark for two readers", "bench --json --go", exitUsage, []string{"--json", "--go"}},
		{"benchmark of an unknown adapter", "bench --adapter voodoo", exitNoAdapter, []string{"voodoo", "known adapters"}},
		{"comparison with what is no run", "bench --compare bad.toml", exitBadFile, []string{"bad.toml", "bench --json"}},
		{"picture in no folder", "bench --plot nowhere/p.png", exitUsage, []string{"--plot", "nowhere"}},
		{"fetch from a file that is no archive", "data fetch --out new --source file", exitBadFile, []string{"file"}},
	}
	before := tree(t, dir)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			code, _, stderr := run(t, dir, strings.Fields(c.args)...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, part := range c.want {
				if !strings.Contains(stderr, part) {
					t.Errorf("the message lacks %q", part)
				}
			}
			if strings.Contains(stderr, "goroutine ") {
				t.Error("a stack trace was printed")
			}
			if after := tree(t, dir); after != before {
				t.Errorf("something was left behind:\n%s\nbefore:\n%s", after, before)
			}
			if t.Failed() {
				t.Logf("ninvk %s\n%s", c.args, stderr)
			}
		})
	}
}

func TestUnknownVariant(t *testing.T) {
	t.Setenv(ops.VariantEnv, "conv/forward=warp")
	dir := t.TempDir()
	code, _, stderr := run(t, dir, "train", "--data", "sample", "--batch", "2", "--max-steps", "1")
	if code != exitUsage || !strings.Contains(stderr, "conv/forward=warp") || !strings.Contains(stderr,
		"straight, tiled") {
		t.Errorf("exit code %d, want %d:\n%s", code, exitUsage, stderr)
	}
	if left := tree(t, dir); left != tree(t, t.TempDir()) {
		t.Errorf("something was left behind:\n%s", left)
	}
}

// testdata is one of package pth's checkpoints.
func testdata(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "pth", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkpoint is a weights file as torch.save would write it.
func checkpoint(t *testing.T, f *safetensors.File) []byte {
	t.Helper()
	word := func(v int) string { return string([]byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)}) }
	text := func(s string) string { return "X" + word(len(s)) + s }
	number := func(v int) string { return "J" + word(v) }
	numbers := func(v []int) string {
		s := "("
		for _, x := range v {
			s += number(x)
		}
		return s + "t"
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	add := func(name string, data []byte) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: "net/" + name, Method: zip.Store})
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	pickle := "\x80\x02}"
	for i, x := range f.Tensors {
		strides := make([]int, len(x.Shape))
		n := 1
		for d := len(strides) - 1; d >= 0; d-- {
			strides[d] = n
			n *= x.Shape[d]
		}
		pickle += text(x.Name) + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\nFloatStorage\n" +
			text(fmt.Sprint(i)) + text("cpu") +
			number(n) + "tQ" + number(0) + numbers(x.Shape) + numbers(strides) + "\x89}tRs"
		add(fmt.Sprintf("data/%d", i), x.Data)
	}
	add("data.pkl", []byte(pickle+"."))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Weights leave as ONNX and safetensors, and come back from PyTorch's format, unchanged.
func TestExportImport(t *testing.T) {
	dir := t.TempDir()
	var f *safetensors.File
	whole := weights(t, func(w *safetensors.File) {
		for i, x := range w.Tensors {
			for j := range x.Data {
				x.Data[j] = byte(i+j) % 64 // a small float, whatever it is
			}
		}
		w.Metadata = map[string]string{models.ModelKey: "nin", models.ChannelsKey: "3", "format": "pt"}
		f = w
	})
	write(t, dir, map[string][]byte{"w.safetensors": whole, "w.pth": checkpoint(t, f)})
	for _, c := range []struct{ args, out string }{
		{"export --weights w.safetensors --format safetensors --out a.safetensors", "a.safetensors"},
		{"export --weights w.pth --format safetensors --out b.safetensors", "b.safetensors"},
		{"import --weights w.pth --out c.safetensors", "c.safetensors"},
		{"import --weights w.pth --model nin --out c.safetensors", "c.safetensors"}, // over the one there
	} {
		code, stdout, stderr := run(t, dir, strings.Fields(c.args)...)
		if code != 0 || !strings.Contains(stdout, "18 tensors") {
			t.Fatalf("ninvk %s: exit code %d\n%s%s", c.args, code, stdout, stderr)
		}
		got, err := os.ReadFile(filepath.Join(dir, c.out))
		if err != nil || !bytes.Equal(got, whole) {
			t.Errorf("ninvk %s: %s is not the weights it came from (%v)", c.args, c.out, err)
		}
	}

	var models [][]byte
	for _, args := range []string{"--weights w.safetensors", "--weights w.pth", "--weights w.pth --fold-bn --model nin"} {
		code, stdout, stderr := run(t, dir, strings.Fields("export --format onnx --out m.onnx "+args)...)
		if code != 0 || !strings.Contains(stdout, "input [N, 3, 32, 32] to logits [N, 10]") {
			t.Fatalf("ninvk export %s: exit code %d\n%s%s", args, code, stdout, stderr)
		}
		m, err := os.ReadFile(filepath.Join(dir, "m.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		models = append(models, m)
	}
	if !bytes.Equal(models[0], models[1]) || !bytes.Equal(models[0], models[2]) {
		t.Error("the same weights gave different models")
	}
	for _, part := range []string{"[0.485,0.456,0.406]", "[0.229,0.224,0.225]", "[32,32]", `["airplane","automobile",`,
		"class_names", "ninvk"} {
		if !bytes.Contains(models[0], []byte(part)) {
			t.Errorf("the model lacks %q", part)
		}
	}
}

// tree lists the files below dir.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		fmt.Fprintln(&b, strings.TrimPrefix(path, dir))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestLimits: NINVK_LIMITS is shown by adapters, honoured by train, and refused where it can't be right.
func TestLimits(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string][]byte{"good/data_batch_1.bin": records(64, 1), "good/test_batch.bin": records(64, 1)})
	t.Setenv(gpu.LimitsEnv, "maxBufferSize=33554432, maxComputeInvocationsPerWorkgroup=128")
	code, stdout, stderr := run(t, dir, "adapters")
	if code != 0 || !strings.Contains(stdout, "workgroup: 128 invocations") || !strings.Contains(stdout,
		"largest buffer 32 MiB") || !strings.Contains(stdout, gpu.LimitsEnv+"=max") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	for _, sizes := range []string{"", "8:0.5"} { // too large for the second half only
		code, _, stderr = run(t, dir, "train", "--data", "good", "--model", "nin", "--batch", "64", "--sizes", sizes)
		if code != exitLost || !strings.Contains(stderr, "64 images does not fit the adapter") ||
			!regexp.MustCompile(`largest that fits is --batch (3\d|4[0-2]), `+
				`and computed in parts --micro-batch (3\d|4[0-2])\n`).MatchString(stderr) {
			t.Errorf("sizes %q: exit code %d\n%s", sizes, code, stderr) // 192 channels of 1024 floats are 0.79 MB an image
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "runs")); err == nil {
		t.Error("a run folder was made")
	}
	for _, bad := range []string{"maxBufferSize=x", "maxBuffers=1"} {
		t.Setenv(gpu.LimitsEnv, bad)
		for _, command := range []string{"adapters", "train --data good", "check"} {
			code, _, stderr := run(t, dir, strings.Fields(command)...)
			if code != exitUsage || !strings.Contains(stderr, gpu.LimitsEnv) || !strings.Contains(stderr, bad) {
				t.Errorf("%s with %s: exit code %d\n%s", command, bad, code, stderr)
			}
		}
	}
}

// TestExitCodes: errors keep their code within others.
func TestExitCodes(t *testing.T) {
	lost := &gpu.LostError{During: "a step", Reason: "it was unplugged"}
	for want, err := range map[int]error{
		exitLost:      &train.StoppedError{Err: lost, Dir: "run", Path: "run/checkpoint/step-4", Step: 4},
		exitOther:     &check.WrongError{Verdict: "WRONG"},
		exitNoAdapter: &check.ChildError{Code: exitNoAdapter, Message: "no adapter"},
		exitUsage:     fmt.Errorf("opening: %w", &gpu.LimitsError{Item: "x"}),
	} {
		if got := exitCode(err); got != want {
			t.Errorf("%v: exit code %d, want %d", err, got, want)
		}
	}
	if got := exitCode(&gpu.NoMemoryError{LostError: lost}); got != exitLost {
		t.Errorf("out of memory: exit code %d, want %d", got, exitLost)
	}
}

func TestAdaptersJSON(t *testing.T) {
	code, stdout, stderr := run(t, t.TempDir(), "adapters", "--json")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, stderr %q", code, stderr)
	}
	var list []struct {
		Index                       int
		Name, Backend, Type, Driver string
		Default                     bool
		Limits                      map[string]float64
	}
	if err := json.Unmarshal([]byte(stdout), &list); err != nil {
		t.Fatal(err)
	}
	defaults := 0
	for i, a := range list {
		if a.Index != i || a.Name == "" || a.Backend == "" || a.Type == "" || len(a.Limits) == 0 {
			t.Errorf("incomplete entry %+v", a)
		}
		if a.Default {
			defaults++
		}
	}
	if defaults != 1 {
		t.Errorf("%d adapters are the default, want 1", defaults)
	}
}

func TestConfigPrecedence(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string][]byte{"my.toml": []byte("epochs = 7\nlr = 0.5\n")})
	var c cli
	file := filepath.Join(dir, "my.toml")
	args := strings.Fields("train --epochs 9 --recipe fast --no-shuffle --config " + file)
	if _, err := newParser(&c).Parse(args); err != nil {
		t.Fatal(err)
	}
	cfg, err := c.Train.Flags.Config(c.Train.Config)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Epochs != 9 || cfg.LR != 0.5 || cfg.Batch != 64 || cfg.Recipe != "fast" || cfg.Shuffle {
		t.Errorf("flags must win over the file and the file over the recipe; got epochs %d, lr %v, batch %d", cfg.Epochs,
			cfg.LR, cfg.Batch)
	}
}

// What recipes show prints is what --recipe sets.
func TestRecipesShow(t *testing.T) {
	dir := t.TempDir()
	code, list, _ := run(t, dir, "recipes")
	if code != 0 {
		t.Fatalf("recipes: exit code %d", code)
	}
	for _, name := range train.Recipes() {
		if !strings.Contains(list, name+" ") {
			t.Errorf("recipes does not list %s:\n%s", name, list)
		}
		code, text, stderr := run(t, dir, "recipes", "show", name)
		if code != 0 {
			t.Fatalf("recipes show %s: exit code %d, %s", name, code, stderr)
		}
		file := filepath.Join(dir, name+".toml")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := train.LoadRecipe("gentle") // which sets the least
		if err != nil {
			t.Fatal(err)
		}
		if err := train.MergeFile(file, &got); err != nil {
			t.Fatal(err)
		}
		want, err := train.LoadRecipe(name)
		if err != nil {
			t.Fatal(err)
		}
		got.Recipe = name
		got.Resolve()
		want.Resolve()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("recipes show %s (-recipe +printed):\n%s", name, diff)
		}
	}
}
