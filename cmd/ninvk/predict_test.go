package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/cifar10"
	"ninvk/gpu"
	"ninvk/models"
	"ninvk/picture"
	"ninvk/safetensors"
)

var update = flag.Bool("update", false, "write the images that the documentation shows anew")

// The images of the documentation are the sample's first test image of each class.
func TestImagesOfDocumentation(t *testing.T) {
	data, err := cifar10.Sample()
	if err != nil {
		t.Fatal(err)
	}
	for class, name := range cifar10.ClassNames {
		i := 0
		for int(data.Test.Labels[i]) != class {
			i++
		}
		pixels := make([]byte, data.Test.Shape.Bytes())
		if err := data.Test.Read(i, pixels); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("..", "..", "docs", "images", name+".png")
		if *update {
			img, err := picture.FromPlanes(cifar10.Width, cifar10.Height, pixels)
			if err == nil {
				err = picture.WritePNG(path, img)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(pixels, picture.Planes(picture.Square(img, cifar10.Width))); diff != "" {
			t.Errorf("%s is not the sample's first test image of its class; go test ./cmd/ninvk -run %s -update writes it anew",
				path, t.Name())
		}
	}
}

// documented is an image of the documentation.
func documented(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "images", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// imageSize is the size of the picture in a file.
func imageSize(t *testing.T, path string) image.Point {
	t.Helper()
	img, err := picture.ReadFile(path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return img.Bounds().Size()
}

// gallery makes a folder with images, what is none, and what is passed over.
func gallery(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cat, ship := documented(t, "cat.png"), documented(t, "ship.png")
	write(t, dir, map[string][]byte{
		"all/b.png": cat, "all/a/ship.PNG": ship, "all/a/notes.txt": []byte("passed over"),
		"all/.hidden.png": []byte("passed over"), "all/.cache/c.png": []byte("passed over"),
		"all/c.jpg": cat[:60], "one.png": ship,
	})
	return dir
}

func TestPredict(t *testing.T) {
	dir := gallery(t)
	c := exec.Command(binary,
		strings.Fields("predict one.png all - nowhere.gif --top 2 --batch 2 --json --cam maps.png")...)
	var out, errs bytes.Buffer
	c.Dir, c.Stdin, c.Stdout, c.Stderr = dir, bytes.NewReader(documented(t, "cat.png")), &out, &errs
	if err := c.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	if code := c.ProcessState.ExitCode(); code != exitOther || !strings.Contains(errs.String(), "2 of 6 images") {
		t.Errorf("exit code %d, stderr:\n%s", code, errs.String())
	}
	var got []prediction
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v:\n%s", err, out.String())
	}
	var files []string
	for _, p := range got {
		files = append(files, filepath.ToSlash(p.File))
		if bad := p.File == "nowhere.gif" || filepath.Base(p.File) == "c.jpg"; bad != (p.Error != "") ||
			bad != (len(p.Predictions) == 0) {
			t.Errorf("%+v", p)
		} else if !bad && (len(p.Predictions) != 2 || p.Map == nil ||
			p.Predictions[0].Probability < p.Predictions[1].Probability) {
			t.Errorf("%+v", p)
		}
	}
	if diff := cmp.Diff([]string{"one.png", "all/a/ship.PNG", "all/b.png", "all/c.jpg", "-", "nowhere.gif"},
		files); diff != "" {
		t.Fatalf("files (-want +got):\n%s", diff)
	}
	// The same image gives the same answer, wherever it comes from and whatever is beside it.
	for _, pair := range [][2]int{{0, 1}, {2, 4}} {
		a, b := got[pair[0]].Predictions[0], got[pair[1]].Predictions[0]
		if a.Class != b.Class || math.Abs(a.Probability-b.Probability) > 1e-6 {
			t.Errorf("%+v and %+v of one image", a, b)
		}
	}
	if size := imageSize(t, filepath.Join(dir, "maps.png")); size.X < 4*camSize || size.Y < 2*camSize {
		t.Errorf("maps of four images in a picture of %v", size)
	}

	code, stdout, stderr := run(t, dir,
		strings.Fields("predict all/b.png one.png all/a/ship.PNG --cam drawn/maps --class cat --top 1")...)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if code != 0 || len(lines) != 3 || !strings.HasPrefix(lines[1], "one.png         "+got[0].Predictions[0].Class+" ") ||
		!strings.HasSuffix(lines[1], " %") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	for _, name := range []string{"b.png", "one.png", "ship.png"} {
		if size := imageSize(t, filepath.Join(dir, "drawn", "maps", name)); size.X < 2*camSize {
			t.Errorf("%s is %v", name, size)
		}
	}
}

// Where no image can be read, no adapter is needed to say so.
func TestPredictNothing(t *testing.T) {
	t.Setenv(gpu.AdapterEnv, "voodoo")
	dir := gallery(t)
	if code, _, stderr := run(t, dir, "predict", "all/c.jpg"); code != exitOther || !strings.Contains(stderr,
		"all/c.jpg: a damaged PNG image: ") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if code, _, stderr := run(t, dir, "predict", "all/c.jpg", "one.png"); code != exitNoAdapter ||
		!strings.Contains(stderr, "voodoo") {
		t.Errorf("with an image: exit code %d: %s", code, stderr)
	}
}

func TestFindImages(t *testing.T) {
	dir := gallery(t)
	t.Chdir(dir)
	if err := os.Symlink("all", "link"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, in := range findImages([]string{"link", "all/a/notes.txt", "all/.cache", "-", "none", "all/a"},
		func(string) {}) {
		s := filepath.ToSlash(in.path)
		if in.err != nil {
			s += "!"
		}
		got = append(got, s)
	}
	// What is named is tried whatever its name is; a folder that is named may be hidden.
	want := []string{"link/a/ship.PNG", "link/b.png", "link/c.jpg", "all/a/notes.txt", "all/.cache/c.png", "-", "none!",
		"all/a/ship.PNG"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// weightsOf writes a weights file of a network, random values with names of the classes and a normalisation of its own.
func weightsOf(t *testing.T, dir, model string, classes []string) (file string) {
	t.Helper()
	g, _, err := models.Build(models.Config{Model: model, Classes: len(classes), Size: models.Size(model)})
	if err != nil {
		t.Fatal(err)
	}
	names, err := json.Marshal(classes)
	if err != nil {
		t.Fatal(err)
	}
	f := &safetensors.File{Metadata: map[string]string{
		models.ModelKey: model, models.ClassesKey: string(names), models.MeanKey: "[0.5,0.5,0.5]",
		models.StdKey: "[0.5,0.5,0.5]",
	}}
	for i, v := range models.Random(g, 1, models.Own).Values() {
		if p := g.Params()[i]; v != nil {
			f.Tensors = append(f.Tensors, safetensors.FromFloat32s(p.Name, p.Shape, v))
		} else {
			f.Tensors = append(f.Tensors, safetensors.FromInt64(p.Name, 1))
		}
	}
	if err := safetensors.Write(filepath.Join(dir, model+".safetensors"), f); err != nil {
		t.Fatal(err)
	}
	return model + ".safetensors"
}

// Of a thousand classes, those are named that may be meant.
func TestUnknownClass(t *testing.T) {
	classes := []string{"tabby", "tiger cat", "Egyptian cat"}
	if got := unknownClass("cat", classes); got != "no such class; known are tabby, tiger cat, Egyptian cat" {
		t.Error(got)
	}
	for i := range 997 {
		classes = append(classes, fmt.Sprintf("class %d", i))
	}
	got := unknownClass("cat", classes)
	if !strings.HasPrefix(got, "no such class; the nearest names are tiger cat, Egyptian cat, ") || len(got) > 300 ||
		!strings.HasSuffix(got, " and there are 980 others") {
		t.Error(got)
	}
}

// Whatever the network, its images are classified, and where it sees a class is drawn, and how that was found told.
func TestPredictNetworks(t *testing.T) {
	dir := gallery(t)
	for _, c := range []struct{ model, method, layer, looked string }{
		{"lenet5", models.GradCAM, "conv2", "conv2"},
		{"resnet20", models.ClassActivation, "layer3.2.add", "layer2.0.conv1"},
	} {
		weights := weightsOf(t, dir, c.model, []string{"a", "b", "c"})
		code, stdout, stderr := run(t, dir, "predict", "one.png", "--weights", weights, "--json", "--cam", c.model+".png",
			"--class", "c")
		var got []prediction
		if err := json.Unmarshal([]byte(stdout), &got); code != 0 || err != nil || len(got) != 1 {
			t.Fatalf("%s: exit code %d, %v\n%s%s", c.model, code, err, stdout, stderr)
		}
		want := &models.ClassMap{Class: "c", Index: 2, Method: c.method, Layer: c.layer}
		if diff := cmp.Diff(want, got[0].Map); diff != "" || len(got[0].Predictions) != 3 {
			t.Errorf("%s: %+v; the map (-want +told):\n%s", c.model, got[0].Predictions, diff)
		}
		if size := imageSize(t, filepath.Join(dir, c.model+".png")); size.Y < 2*camSize {
			t.Errorf("%s: maps in a picture of %v", c.model, size)
		}
		for _, command := range [][]string{
			{"filters", "--weights", weights, "--out", "filters.png"},
			{"activations", "one.png", "--weights", weights, "--layer", c.looked, "--out", "maps.png"},
		} {
			if code, stdout, stderr := run(t, dir, command...); code != 0 {
				t.Errorf("%s: exit code %d\n%s%s", command, code, stdout, stderr)
			}
		}
	}
}

func TestFiltersAndActivations(t *testing.T) {
	dir := gallery(t)
	code, stdout, stderr := run(t, dir, "filters", "--out", "filters.png")
	if code != 0 || !strings.Contains(stdout, "192 filters of classifier.0") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if size := imageSize(t, filepath.Join(dir, "filters.png")); size.X < 16*40 || size.Y < 12*40 {
		t.Errorf("192 filters in a picture of %v", size)
	}
	code, stdout, stderr = run(t, dir, strings.Fields("activations one.png --layer classifier.3 --out maps.png")...)
	if code != 0 || !strings.Contains(stdout, "160 feature maps of classifier.3") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if size := imageSize(t, filepath.Join(dir, "maps.png")); size.X < 16*60 || size.Y < 10*60 {
		t.Errorf("160 maps in a picture of %v", size)
	}
}

// What eval tells in detail adds up to what it tells in short, and is drawn.
func TestEvalDetails(t *testing.T) {
	dir := t.TempDir()
	set := records(60, 9)
	for i := range set {
		if i%cifar10.RecordBytes > 0 {
			set[i] = byte(i * i / 7)
		}
	}
	write(t, dir, map[string][]byte{"set/data_batch_1.bin": set, "set/test_batch.bin": set})
	code, stdout, stderr := run(t, dir, strings.Fields("eval --data set --json --out drawn/here")...)
	var got struct {
		Model, Split string
		Images       int
		Loss         float64
		Accuracy     float64
		Classes      []classFigures
		Confusion    [][]int
		SHA256       string `json:"weights_sha256"`
		Flip         bool
		Macro        averages
		Mistakes     []mistake
		Confused     []confused
	}
	if err := json.Unmarshal([]byte(stdout), &got); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, stdout, stderr)
	}
	if got.Model != "nin-bn" || got.Split != "test" || got.Images != 60 || got.Loss <= 0 || len(got.SHA256) != 64 {
		t.Errorf("%+v", got)
	}
	var flipped struct {
		Images int
		Loss   float64
		Flip   bool
	}
	// sixteen images a batch, and twelve at last
	code, flip, stderr := run(t, dir, strings.Fields("eval --data set --json --flip --batch 33")...)
	if err := json.Unmarshal([]byte(flip), &flipped); code != 0 || err != nil {
		t.Fatalf("--flip: exit code %d, %v\n%s%s", code, err, flip, stderr)
	}
	if got.Flip || !flipped.Flip || flipped.Images != 60 || flipped.Loss <= 0 || math.Abs(flipped.Loss-got.Loss) < 1e-6 {
		t.Errorf("with --flip %+v; without loss %v, flip %v", flipped, got.Loss, got.Flip)
	}
	right := 0
	for i, c := range got.Classes {
		sum := 0
		for _, n := range got.Confusion[i] {
			sum += n
		}
		if c.Class != cifar10.ClassNames[i] || c.Index != i || c.Images != 6 || sum != 6 ||
			c.Correct != got.Confusion[i][i] || *c.Accuracy != float64(c.Correct)/6 {
			t.Errorf("%+v of %v", c, got.Confusion[i])
		}
		right += c.Correct
	}
	if math.Abs(got.Accuracy-float64(right)/60) > 1e-9 || len(got.Classes) != cifar10.Classes {
		t.Errorf("accuracy %v, but %d of 60 are right", got.Accuracy, right)
	}
	wrong := 0
	for _, p := range got.Confused {
		wrong += p.Images
	}
	if wrong != 60-right || got.Macro.F1 == nil || len(got.Mistakes) != min(25, wrong) ||
		strings.Contains(stdout, "top5") {
		t.Errorf("%d of %d mistakes told by pairs, macro %+v, %d mistakes", wrong, 60-right, got.Macro, len(got.Mistakes))
	}
	for i, m := range got.Mistakes {
		if m.True == m.Predicted ||
			i > 0 && m.Loss > got.Mistakes[i-1].Loss || !(m.Probability > 0.1) || m.File == "" {
			t.Errorf("mistake %d: %+v", i, m)
		}
	}
	for _, name := range []string{confusionFile, mistakesFile} {
		if size := imageSize(t, filepath.Join(dir, "drawn", "here", name)); size.X < 500 || size.Y < 300 {
			t.Errorf("%s is %v", name, size)
		}
	}
}

// The accuracy that the documentation claims for embedded weights is what eval measures on the whole test split.
func TestPretrainedAccuracy(t *testing.T) {
	dir := os.Getenv("NINVK_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "data")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("this test needs CIFAR-10: run bin/ninvk data fetch in the repository's root, or name the folder that "+
			"has it in NINVK_DATA: %v", err)
	}
	type figures struct {
		Images   int
		Loss     float64
		Accuracy float64
		SHA256   string `json:"weights_sha256"`
	}
	for _, name := range models.EmbeddedNames {
		code, stdout, stderr := run(t, ".", "eval", "--data", dir, "--weights", name, "--json")
		if code != 0 {
			t.Fatalf("exit code %d\n%s", code, stderr)
		}
		claimed, err := os.ReadFile(filepath.Join("..", "..", "models", "pretrained", name+"-cifar10.json"))
		if err != nil {
			t.Fatal(err)
		}
		var got, want figures
		if err := errors.Join(json.Unmarshal([]byte(stdout), &got), json.Unmarshal(claimed, &want)); err != nil {
			t.Fatal(err)
		}
		// Adapters round differently, which may tip a few images.
		if got.Images != want.Images || got.SHA256 != want.SHA256 || math.Abs(got.Accuracy-want.Accuracy) > 5e-4 ||
			math.Abs(got.Loss-want.Loss) > 1e-3 {
			t.Errorf("%s: measured %+v, claimed %+v", name, got, want)
		}
	}
}

// What is wrong with the name of a picture is said before any work, with exit code 2.
func TestOutputNames(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string][]byte{"one.png": documented(t, "cat.png"), "folder.png/x": {}})
	for _, c := range []struct{ arguments, want string }{
		{"predict one.png --cam nowhere/maps.png", "there is no folder nowhere"},
		{"predict one.png --cam maps.jpg", "name a file that ends in .png"},
		{"filters --out nowhere/f.png", "there is no folder nowhere"},
		{"filters --out f.jpg", "name a file that ends in .png"},
		{"filters --out folder.png", "is a folder"},
		{"activations one.png --layer classifier.0 --out nowhere/a.png", "there is no folder nowhere"},
		{"activations one.png --layer classifier.0 --out a", "name a file that ends in .png"},
	} {
		if code, _, stderr := run(t, dir, strings.Fields(c.arguments)...); code != exitUsage || !strings.Contains(stderr,
			c.want) {
			t.Errorf("%s: exit code %d, want %d with %q\n%s", c.arguments, code, exitUsage, c.want, stderr)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "maps.jpg")); err == nil {
		t.Error("a folder maps.jpg was made")
	}
}
