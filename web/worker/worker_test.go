package worker

import (
	"errors"
	"image"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ninvk/gpu"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/picture"
	"ninvk/safetensors"
	"ninvk/train"
)

// told is a worker with what it has said.
type told struct {
	*Worker
	t        *testing.T
	messages chan Message
	on       map[string]func(Message) // called by the worker, by is
}

func start(t *testing.T) *told {
	t.Helper()
	w := &told{t: t, messages: make(chan Message, 1000), on: map[string]func(Message){}}
	w.Worker = New(t.TempDir(), func(m Message) {
		if f := w.on[text(m, "is")]; f != nil {
			f(m)
		}
		w.messages <- m
	})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Wait()
		if w.classifier != nil {
			w.classifier.Close()
		}
		w.dev.Close()
	})
	return w
}

// until is the next message of a kind, which must come before an error.
func (w *told) until(is string) Message {
	w.t.Helper()
	for {
		select {
		case m := <-w.messages:
			if m["is"] == is {
				return m
			}
			if m["is"] == "error" {
				w.t.Fatalf("an error in place of %s: %v", is, m)
			}
		case <-time.After(2 * time.Minute):
			w.t.Fatalf("no %s came", is)
		}
	}
}

func message(id int, img image.Image) Message {
	b := img.Bounds()
	rgba := make([]byte, 0, 4*b.Dx()*b.Dy())
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			rgba = append(rgba, c.R, c.G, c.B, c.A)
		}
	}
	return Message{"do": "classify", "id": float64(id), "width": float64(b.Dx()), "height": float64(b.Dy()), "rgba": rgba}
}

func TestClassify(t *testing.T) {
	w := start(t)
	if a := w.until("adapter"); a["name"] == "" || a["software"] != w.dev.Adapter.CPU() {
		t.Errorf("adapter: %v", a)
	}
	w.Do(Message{"do": "open"})
	opened := w.until("opened")
	if opened["model"] != "nin-bn" || opened["size"] != 32 || len(opened["classes"].([]any)) != 10 {
		t.Errorf("opened: %v", opened)
	}
	for _, name := range models.EmbeddedNames {
		w.Do(Message{"do": "open", "name": name})
		if opened := w.until("opened"); opened["model"] != name {
			t.Errorf("%s: opened %v", name, opened["model"])
		}
	}
	w.Do(Message{"do": "open"})
	w.until("opened")
	for i, name := range []string{"cat", "ship"} {
		img, err := picture.ReadFile(filepath.Join("..", "..", "docs", "images", name+".png"))
		if err != nil {
			t.Fatal(err)
		}
		w.Do(message(i, img))
		a := w.until("answer")
		first := a["classes"].([]any)[0].(Message)
		sum := 0.0
		for _, c := range a["classes"].([]any) {
			sum += c.(Message)["p"].(float64)
		}
		if a["id"] != float64(i) || first["name"] != name || math.Abs(sum-1) > 1e-6 {
			t.Errorf("%s: %v", name, a)
		}
		w.Do(Message{"do": "map", "id": float64(i), "class": float64(3)})
		m := w.until("map")
		if n := len(m["values"].([]float32)); n == 0 || n != m["width"].(int)*m["height"].(int) || m["class"] != 3 {
			t.Errorf("map: %v", m)
		}
	}

	// The weights of the network as a file, under a name that leads elsewhere.
	b, err := safetensors.Encode(w.classifier.Network.Content())
	if err != nil {
		t.Fatal(err)
	}
	w.Do(Message{"do": "open", "weights": b, "name": "../../my weights.safetensors"})
	if again := w.until("opened"); !cmp.Equal(again["classes"], opened["classes"]) {
		t.Errorf("opened: %v", again)
	}
	if left, err := os.ReadDir(filepath.Join(w.dir, "weights")); err != nil || len(left) > 0 {
		t.Errorf("files stay: %v, %v", left, err)
	}
}

func TestInPage(t *testing.T) {
	lost := &gpu.LostError{During: "a step", Reason: "the device is lost: unplugged (unknown)"}
	for _, c := range []struct {
		err        error
		kind, want string
	}{
		{&train.UsageError{Flag: "--batch", Value: "2000", Problem: "too many"}, "input", "batch 2000: too many"},
		{&train.StoppedError{Err: lost, Dir: "/tmp/run", Path: "/tmp/run/x", Step: 3}, "lost", lost.Error()},
		{&train.DivergedError{Step: 7, Loss: math.Inf(1), Reason: "the loss is +Inf", Dir: "/tmp/run"}, "input",
			"training diverged: step 7, loss +Inf: the loss is +Inf; start again with a lower learning rate, or from what was " +
				"saved before"},
		{&gpu.NoMemoryError{LostError: lost}, "memory", lost.Error()},
		{&nn.MemoryError{Batch: 64, Reason: "too large"}, "memory", ""},
		{&gpu.NoAdapterError{}, "no-webgpu", ""},
		{errors.New("what else there is"), "other", "what else there is"},
	} {
		if got := kind(c.err); got != c.kind {
			t.Errorf("%v is of the kind %s, expected %s", c.err, got, c.kind)
		}
		if got := inPage(c.err); c.want != "" && got != c.want {
			t.Errorf("%q, expected %q", got, c.want)
		}
	}
}

func TestRefuses(t *testing.T) {
	w := start(t)
	w.until("adapter")
	for _, c := range []struct {
		m          Message
		kind, says string
	}{
		{Message{}, "other", `nothing is known of ""`},
		{Message{"do": "dance"}, "other", `nothing is known of "dance"`},
		{Message{"do": "classify"}, "other", "open comes before"},
		{Message{"do": "open", "weights": []byte("no weights"), "name": "x.safetensors"}, "input", "x.safetensors"},
		{Message{"do": "open", "name": "vgg16"}, "input", `no weights called "vgg16", but nin-bn`},
		{Message{"do": "pause"}, "input", "no run to pause"},
		{Message{"do": "resume", "checkpoint": []byte("x")}, "input", "no checksum"},
		{Message{"do": "train", "model": "nin-xx"}, "input", "nin-xx"},
		{Message{"do": "train", "model": "resnet20", "settings": Message{"lr": "much"}}, "input", "a number is expected"},
		{Message{"do": "train", "model": "resnet20", "settings": Message{"batch": 1.5}}, "input", "a whole number"},
		{Message{"do": "train", "model": "resnet20", "settings": Message{"epochs": -1.0}}, "input", "can't be below 0"},
		{Message{"do": "train", "model": "resnet20", "settings": Message{"augment": "turn"}}, "input", "turn"},
		{Message{"do": "train", "model": "resnet20", "data": Message{"classes": []any{"a/b"}}}, "input",
			"no folder can have"},
		{Message{"do": "train", "model": "resnet20", "data": Message{"classes": []any{"a", "b"}, "images": []any{Message{
			"class": 2.0}}}}, "input", "there are 2 classes"},
		{Message{"do": "train", "model": "resnet20", "data": Message{"classes": []any{"a", "b"}, "images": []any{Message{
			"class": 1.0, "width": 3.0, "height": 1e9, "rgba": []byte{1}}}}}, "input", "1 bytes are no image"},
	} {
		w.Do(c.m)
		m := <-w.messages
		if m["is"] != "error" || m["kind"] != c.kind || !strings.Contains(text(m, "text"), c.says) ||
			text(m, "of") != text(c.m, "do") {
			t.Errorf("%v: %v, expected the kind %s and %q", c.m, m, c.kind, c.says)
		}
	}
}

var fewSteps = Message{"lr": 0.05, "augment": "flip", "batch": 8.0, "epochs": 2.0, "seed": 1.0, "size": 8.0,
	"steps": 6.0, "evaluated": 8.0}

// weightsOf are the tensors of a saved run, which has more than these besides.
func weightsOf(t *testing.T, saved Message) map[string][]byte {
	t.Helper()
	f, err := safetensors.Decode(saved["safetensors"].([]byte))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, x := range f.Tensors {
		all[x.Name] = x.Data
	}
	return all
}

// ownImages are the data of a message: so many images of two classes, of several sizes.
func ownImages(n int) Message {
	var images []any
	for i := range n {
		img := image.NewNRGBA(image.Rect(0, 0, 10+i, 12))
		for p := range img.Pix {
			img.Pix[p] = byte(200*(i%2) + 7*i*p%50)
		}
		m := message(i, img)
		m["class"] = float64(i % 2)
		images = append(images, m)
	}
	return Message{"classes": []any{"dark", "light"}, "images": images}
}

func TestData(t *testing.T) {
	w := New(t.TempDir(), func(Message) {})
	c, err := config("resnet20", Message{"size": 8.0})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		data        any
		images      int
		classes     int
		shape, name string
	}{{"sample", 1200, 10, "3×32×32", "airplane"}, {ownImages(40), 40, 2, "3×8×8", "dark"}} {
		d, err := w.data(Message{"data": x.data}, c)
		if err != nil {
			t.Fatal(err)
		}
		if d.Train.Len()+d.Test.Len() != x.images || d.Test.Len() == 0 || len(d.Classes) != x.classes ||
			d.Classes[0] != x.name || d.Train.Shape.String() != x.shape {
			t.Errorf("%d and %d images of %v, %q", d.Train.Len(), d.Test.Len(), d.Train.Shape, d.Classes)
		}
	}
}

// A run that is paused, saved and stopped ends, when it is resumed, as one that went through.
func TestTrain(t *testing.T) {
	w, data := start(t), ownImages(60)
	w.Do(Message{"do": "train", "model": "resnet20", "settings": fewSteps, "data": data})
	begun := w.until("begun")
	if begun["steps"] != 6 || begun["step"] != 0 || begun["train_images"].(int)+begun["test_images"].(int) != 60 ||
		!cmp.Equal(begun["classes"], data["classes"]) {
		t.Errorf("begun: %v", begun)
	}
	epoch := w.until("pictures")
	if n := len(epoch["samples"].([]any)); n != len(epoch["verdicts"].([]any)) || n == 0 {
		t.Errorf("pictures of %d samples", n)
	}
	if e := w.until("epoch"); e["step"] != 6 || e["test_accuracy"] == nil || e["test_loss"] == nil {
		t.Errorf("epoch: %v", e)
	}
	if s := w.until("state"); s["state"] != "ended" || s["step"] != 6 {
		t.Errorf("state: %v", s)
	}
	w.Wait()
	w.Do(Message{"do": "save"})
	whole := weightsOf(t, w.until("saved"))

	w.on["step"] = func(m Message) {
		if m["step"] == 1 {
			w.Do(Message{"do": "pause"})
		}
	}
	w.Do(Message{"do": "train", "model": "resnet20", "settings": fewSteps, "data": data})
	for w.until("state")["state"] != "paused" {
	}
	w.on = nil
	w.Do(Message{"do": "train", "model": "resnet20"})
	if m := <-w.messages; m["is"] != "error" || !strings.Contains(text(m, "text"), "a run goes on") {
		t.Errorf("a second run: %v", m)
	}
	w.Do(Message{"do": "save"})
	saved := w.until("saved")
	w.Do(Message{"do": "stop"})
	for w.until("state")["state"] != "ended" {
	}
	w.Wait()
	w.Do(Message{"do": "resume", "checkpoint": saved["safetensors"], "data": data})
	if b := w.until("begun"); b["step"].(int) < 1 || b["step"].(int) >= 6 {
		t.Errorf("resumed: %v", b)
	}
	for w.until("state")["state"] != "ended" {
	}
	w.Wait()
	w.Do(Message{"do": "save"})
	if diff := cmp.Diff(whole, weightsOf(t, w.until("saved"))); diff != "" {
		t.Error("the weights of a run that was resumed differ")
	}
}
