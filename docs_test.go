package ninvk_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ninvk/ci/slow"
	"ninvk/cifar10"
	"ninvk/cifar10/cifartest"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/safetensors"
)

func TestMain(m *testing.M) {
	code := slow.Run(m, "TestShownCommandsThatTakeLong")
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// shownCommand says what becomes of a command that the pages show: what it is made small by, or why it is not run here.
type shownCommand struct {
	begins string // with this, without a folder before ninvk; the first that fits counts
	with   string // what is put behind it, so that it takes moments
	long   bool   // it uses an adapter for more than moments: in make test-full alone
	leaves string // a file that must be there then, and not be empty; without one it must print something
	not    string // why it is not run; then a whole block of code is passed over, as scripts are
}

// small makes a run one of two steps of few images.
const small = " --max-steps 2 --batch 4 --eval-train 4 --resize "

// little leaves a measurement little to do.
const little = " --model lenet5 --size 16 --batch 2 --batches 2"

// shownCommands has each command that the pages show.
var shownCommands = []shownCommand{
	{begins: "ninvk data inspect photos --out sheet.png", leaves: "sheet.png"},
	{begins: "ninvk data inspect photos"},
	{begins: "ninvk data pack photos", leaves: "photos.safetensors"},
	{begins: "ninvk runs docs/results"},
	{begins: "ninvk plot docs/results", leaves: "runs.png"},
	{begins: "ninvk filters", leaves: "filters.png"},
	{begins: "ninvk import --weights checkpoint.pth", leaves: "checkpoint.safetensors"},
	{begins: "ninvk export --weights runs/RUN/best.safetensors --format onnx", leaves: "best.onnx"},
	{begins: "ninvk export --weights runs/RUN/best.safetensors", leaves: "weights.safetensors"},
	{begins: "source <(ninvk completion bash)", with: " && complete -p ninvk"},
	{begins: "mkdir -p ~/.local/share/man/man1", leaves: ".local/share/man/man1/ninvk.1"},
	{begins: "ninvk predict docs/images/cat.png"},

	{begins: "ninvk predict docs/images --cam maps.png", leaves: "maps.png", long: true},
	{begins: "ninvk predict", long: true},
	{begins: "ninvk activations", leaves: "activations.png", long: true},
	{begins: "ninvk eval --data data --out pictures", leaves: "pictures/confusion.png", long: true},
	{begins: "ninvk eval --weights runs/RUN/best.safetensors --data photos --out figures", long: true,
		leaves: "figures/confusion.png"},
	{begins: "ninvk eval --data photos", long: true},
	{begins: "ninvk bench --model nin --json", with: little, leaves: "before.json", long: true},
	{begins: "ninvk bench --model nin --compare before.json", with: little, long: true},
	{begins: "ninvk train --resume runs/RUN", with: " --max-steps 3", long: true},
	{begins: "ninvk train --resume nin-cifar10", with: " --max-steps 3", long: true},
	{begins: "ninvk train --data photos --model resnet18 --init", with: small + "64", long: true},
	{begins: "ninvk train --data photos.safetensors", with: small + "64", long: true},
	{begins: "ninvk train --data photos", with: small + "32", long: true},
	{begins: "ninvk train --data DIR", with: " --max-steps 2 --batch 4", leaves: "run/accuracy.png", long: true},
	{begins: "ninvk train --data data --serve :8080", with: small + "32 --serve :0", long: true},
	{begins: "ninvk train --data mnist", with: small + "32", long: true},
	{begins: "ninvk train --data fashion-mnist", with: small + "16", long: true},
	{begins: "ninvk train --data data --model nin-imagenet", with: small + "64", long: true},
	{begins: "ninvk train --data data --model alexnet", with: small + "64", long: true},
	{begins: "ninvk train --data data", with: small + "32", long: true}, // the least that all the others take

	{begins: "ninvk train --resume ninvk-nin-bn.safetensors",
		not: "a browser saves such a file; TestPageInChromium of cmd/ninvk goes on from one"},
	{begins: "ninvk data fetch", not: "network; make full-data fetches CIFAR-10, TestAccuracyOfGreyImages the others"},
	{begins: "ninvk data verify data", not: "wants all of CIFAR-10; cifar10/published tries it on files made for it"},
	{begins: "ninvk web", not: "serves until it is stopped; cmd/ninvk's TestWeb does that"},
	{begins: "docker run", not: "needs a container runtime; the image is tried by make container-quickstart"},
	{begins: "mpirun", not: "several processes: TestRanks of cmd/ninvk in make test-full"},
	{begins: "cat > hosts", not: "two machines: TestRanksOnTwoMachines of cmd/ninvk in make test-full"},
	{begins: "#!/bin/bash", not: "a script of SLURM, which is not here; the page says that it has not been run"},
	{begins: "git clone", not: "network"},
	{begins: "make", not: "what a build does; the workflow runs setup, build and test, make test-full the others"},
	{begins: "go test", not: "tests within tests"},
	{begins: "NINVK_VARIANT=conv/forward=NAME go test", not: "a variant that is still to be written"},
	{begins: "bin/gpu-kit/gpu.sh", not: "measures for minutes: make gpu-trial"},
	{begins: "DATA=cifar10 bench/gpu.sh", not: "measures for minutes: make gpu-trial"},
	{begins: "tensorboard", not: "another program"},
}

// TestShownCommands runs those commands of the pages that take moments, and sees that each command has a row above and
// each row a command.
func TestShownCommands(t *testing.T) {
	used := make([]bool, len(shownCommands))
	for _, page := range pages(t) {
		for _, i := range runShown(t, page, false) {
			used[i] = true
		}
	}
	for i, c := range shownCommands {
		if !used[i] {
			t.Errorf("no page shows a command for the row that begins with %q: take it off the list", c.begins)
		}
	}
}

// TestShownCommandsThatTakeLong runs them all: the others train, or use an adapter for longer, some of them on what
// shorter ones have made.
func TestShownCommandsThatTakeLong(t *testing.T) {
	for _, page := range pages(t) {
		runShown(t, page, true)
	}
}

// runShown runs a page's commands, also the long ones where they are asked for, one after the other in a folder of
// their own, and gives the rows of its commands.
func runShown(t *testing.T, page string, long bool) (rows []int) {
	t.Helper()
	dir := ""
	for _, block := range commandBlocks(string(read(t, page))) {
		for _, line := range block {
			command := strings.ReplaceAll(line, "bin/ninvk ", "ninvk ")
			row := -1
			for i, c := range shownCommands {
				if strings.HasPrefix(command, c.begins) {
					row = i
					break
				}
			}
			if row < 0 {
				t.Errorf("%s shows a command that no row of shownCommands is for: %s", page, command)
				continue
			}
			rows = append(rows, row)
			switch c := shownCommands[row]; {
			case c.not != "":
			case long || !c.long:
				if dir == "" {
					dir = whatPagesAssume(t, long)
				}
				t.Run(page+": "+command, func(t *testing.T) { c.run(t, dir, command) })
				continue
			default:
				continue
			}
			if strings.HasPrefix(shownCommands[row].begins, "#!") || strings.HasPrefix(shownCommands[row].begins, "cat >") {
				break // the rest of the block belongs to it
			}
		}
	}
	return rows
}

// commandBlocks are the blocks of a shell's commands in a Markdown text, a line each without its comment; one that a
// backslash ends goes on.
func commandBlocks(text string) (blocks [][]string) {
	inside, more := false, false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch trimmed := strings.TrimSpace(line); {
		case !inside && trimmed == "```sh":
			inside, more = true, false
			blocks = append(blocks, nil)
		case inside && strings.HasPrefix(trimmed, "```"):
			inside = false
		case inside && trimmed != "":
			last := &blocks[len(blocks)-1]
			words, _, _ := strings.Cut(line, "  # ")
			words = strings.TrimSpace(words)
			goesOn := strings.HasSuffix(words, `\`)
			words = strings.TrimSpace(strings.TrimSuffix(words, `\`))
			if more {
				(*last)[len(*last)-1] += " " + words
			} else {
				*last = append(*last, words)
			}
			more = goesOn
		}
	}
	return blocks
}

// run runs the command as the page has it, made small, by a shell in dir.
func (c shownCommand) run(t *testing.T, dir, command string) {
	t.Helper()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", command+c.with)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "PATH="+filepath.Dir(program(t))+":"+os.Getenv("PATH"), cacheOf(t))
	start := time.Now()
	out, err := cmd.CombinedOutput()
	t.Logf("%.1f s: %s%s", time.Since(start).Seconds(), command, c.with)
	if err != nil {
		t.Errorf("%s%s: %v\n%s", command, c.with, err, out)
		return
	}
	if c.leaves == "" && len(out) == 0 {
		t.Errorf("%s%s prints nothing", command, c.with)
	}
	if c.leaves != "" {
		if i, err := os.Stat(filepath.Join(dir, c.leaves)); err != nil || i.Size() == 0 {
			t.Errorf("%s%s leaves no %s: %v\n%s", command, c.with, c.leaves, err, out)
		}
	}
	others, err := filepath.Glob(filepath.Join(dir, "runs", "*-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range others { // of a gigabyte, some of them
		os.RemoveAll(run)
	}
}

// cacheOf keeps the user's cache in spite of another HOME, with the kernels that a driver has compiled.
func cacheOf(t *testing.T) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return "XDG_CACHE_HOME=" + dir
}

// built is the program, built once.
var built struct {
	sync.Once
	dir string
	err error
}

// program is the path of the program, built from these sources.
func program(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		built.dir, built.err = os.MkdirTemp("", "ninvk") //nolint:usetesting // it outlives the test that builds first
		if built.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", filepath.Join(built.dir, "ninvk"), "./cmd/ninvk").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("building ninvk: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "ninvk")
}

// whatPagesAssume makes a folder with what the pages speak of: photos in folders of classes, sets of data, weights of
// others, and a run, which is trained where commands that take long go on with it.
func whatPagesAssume(t *testing.T, trained bool) string {
	t.Helper()
	dir := t.TempDir()
	weights := read(t, "docs/results/nin-bn-cifar10/model.safetensors")
	files := map[string][]byte{
		"data/data_batch_1.bin":     cifartest.Records(40, 0, 1),
		"data/test_batch.bin":       cifartest.Records(10, 0, 2),
		"cat.webp":                  read(t, "picture/testdata/members/lossy.webp"),
		"checkpoint.pth":            weights, // what a file is, its content says
		"runs/RUN/best.safetensors": weights,
	}
	for _, name := range []string{"mnist", "fashion-mnist"} {
		for split, n := range map[string]int{"train": 40, "t10k": 10} {
			pixels := cifartest.Records(n, 0, len(name)) // larger than what is taken of it
			files[name+"/"+split+"-images-idx3-ubyte"] = idxFile(pixels, n, 28, 28)
			files[name+"/"+split+"-labels-idx1-ubyte"] = idxFile([]byte(strings.Repeat("\x00\x01\x02\x03\x04", n)), n)
		}
	}
	addPhotos(t, files, "photos", "daisy", "dandelion")
	for _, same := range []string{"DIR", "PHOTOS", "NEW-PHOTOS"} {
		addPhotos(t, files, same, "daisy", "dandelion")
	}
	if trained {
		delete(files, "runs/RUN/best.safetensors")
		files["resnet18-f37072fd.pth"], files["imagenet.txt"] = imageNetWeights(t)
	}
	cifartest.WriteFiles(t, dir, files)
	here, err := filepath.Abs("docs")
	if err == nil {
		err = os.Symlink(here, filepath.Join(dir, "docs"))
	}
	if err != nil {
		t.Fatal(err)
	}
	if trained {
		shownCommand{with: small + "32"}.run(t, dir, "ninvk train --data photos --out runs/RUN")
	}
	return dir
}

// idxFile is an array of bytes in MNIST's format.
func idxFile(values []byte, size ...int) []byte {
	b := []byte{0, 0, 8, byte(len(size))}
	n := 1
	for _, s := range size {
		b = binary.BigEndian.AppendUint32(b, uint32(s))
		n *= s
	}
	return append(b, values[:n]...)
}

// addPhotos adds some images of the sample, as PNG, in a folder a class.
func addPhotos(t *testing.T, files map[string][]byte, folder string, classes ...string) {
	t.Helper()
	sample, err := cifar10.Sample()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 24 {
		img, err := sample.Train.Image(i)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		files[fmt.Sprintf("%s/%s/%d.png", folder, classes[i%len(classes)], i)] = b.Bytes()
	}
}

// imageNetWeights are weights of ResNet-18 for a thousand classes, and names for these.
func imageNetWeights(t *testing.T) (weights, names []byte) {
	t.Helper()
	const classes = 1000
	g, _, err := models.Build(models.Config{Model: "resnet18", Classes: classes, Size: 224})
	if err != nil {
		t.Fatal(err)
	}
	var f safetensors.File
	for _, p := range g.Params() {
		if p.Role == nn.BatchesTracked {
			continue
		}
		values := make([]float32, p.Len())
		for i := range values {
			values[i] = float32(i%7-3) / 100
			if p.Role == nn.RunningVariance {
				values[i] = 1
			}
		}
		f.Tensors = append(f.Tensors, safetensors.FromFloat32s(p.Name, p.Shape, values))
	}
	if weights, err = safetensors.Encode(&f); err != nil {
		t.Fatal(err)
	}
	for i := range classes {
		names = fmt.Appendf(names, "class number %d\n", i)
	}
	return weights, names
}
