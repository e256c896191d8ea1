package train

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/dataset"
	"ninvk/models"
)

// fewer are a data set's images with other classes, of which there are so many.
func fewer(data *dataset.Set, classes int) *dataset.Set {
	d := *data
	d.Classes = d.Classes[:classes]
	for _, s := range []*dataset.Split{&d.Train, &d.Test} {
		s.Labels = slices.Clone(s.Labels)
		for i := range s.Labels {
			s.Labels[i] %= uint16(classes)
		}
	}
	d.SHA256 = strings.Repeat("0", 64)
	return &d
}

// grey are a data set's images, of which red alone is there.
func grey(t *testing.T, data *dataset.Set) *dataset.Set {
	t.Helper()
	d := *data
	d.Channels = 1
	for _, s := range []*dataset.Split{&d.Train, &d.Test} {
		all, err := s.All()
		if err != nil {
			t.Fatal(err)
		}
		one, plane := s.Shape.Bytes(), s.Shape.H*s.Shape.W
		var red []byte
		for i := range s.Len() {
			red = append(red, all[i*one:][:plane]...)
		}
		s.Shape.C = 1
		s.Source = dataset.Memory{Shape: s.Shape, Pixels: red, What: "image"}
	}
	return &d
}

// Training goes on with other classes behind frozen layers, which end as they began, to the bit; interrupted and
// resumed it comes to the same.
func TestFineTuning(t *testing.T) {
	data := fewer(subset(t, 20, 10), 4)
	first, err := runJob(t, context.Background(), subset(t, 20, 10), silent{}, func(c *Config) {
		c.Model, c.Batch, c.Epochs, c.EvalEvery = "resnet20", 10, 1, 5
	})
	if err != nil {
		t.Fatal(err)
	}
	from := filepath.Join(first.Dir, ModelFile)
	recipe := func(c *Config) {
		resumeRecipe(c)
		c.Model, c.Init, c.NewHead, c.EMA = "resnet20", from, true, 0.9
		c.Freeze, c.LRScale, c.ClassWeights = "conv1.*,bn1.*,layer1.*", "layer2.*=0.1", BalancedWeights
	}
	_, err = runJob(t, context.Background(), data, silent{}, func(c *Config) { recipe(c); c.NewHead = false })
	if w := (*models.WeightsError)(nil); !errors.As(err, &w) ||
		!strings.Contains(err.Error(), "--new-head makes its last layer (linear) anew") {
		t.Errorf("other classes without a new head: %v", err)
	}
	whole, err := runJob(t, context.Background(), data, silent{}, recipe)
	if err != nil {
		t.Fatal(err)
	}
	ctx, report := stopAt(3)
	s, err := runJob(t, ctx, data, report, recipe)
	if err == nil && !s.Interrupted {
		t.Fatal("the run was not interrupted")
	}
	if err == nil {
		s, err = resume(t, context.Background(), s.Dir, silent{}, func(j *Job) { j.Data = data })
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(outcome(t, whole.Dir), outcome(t, s.Dir)); diff != "" {
		t.Errorf("(-never interrupted +resumed):\n%s", diff)
	}
	before, err := models.OpenNetwork(from, models.Given{})
	if err != nil {
		t.Fatal(err)
	}
	after, err := models.OpenNetwork(filepath.Join(s.Dir, ModelFile), models.Given{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(data.Classes, after.Classes); diff != "" {
		t.Errorf("classes (-want +got):\n%s", diff)
	}
	for _, tensor := range before.File.Tensors {
		other, ok := after.File.Tensor(tensor.Name)
		frozen := slices.ContainsFunc([]string{"conv1.", "bn1.", "layer1."},
			func(p string) bool { return strings.HasPrefix(tensor.Name, p) })
		counts := strings.HasSuffix(tensor.Name, "num_batches_tracked")
		if !ok || !counts && frozen != bytes.Equal(tensor.Data, other.Data) {
			t.Errorf("%s is frozen: %v, and stays: %v", tensor.Name, frozen, !frozen)
		}
	}
}

// Grey images train a network of one channel, whose weights tell all that their use needs; weights for colours are
// refused.
func TestGreyImages(t *testing.T) {
	colours := subset(t, 20, 10)
	data := grey(t, colours)
	recipe := func(c *Config) {
		c.Model, c.Batch, c.Epochs, c.EvalEvery, c.Augment = "resnet20", 10, 1, 5, "flip-crop"
	}
	s, err := runJob(t, context.Background(), data, silent{}, recipe)
	if err != nil {
		t.Fatal(err)
	}
	n, err := models.OpenNetwork(filepath.Join(s.Dir, ModelFile), models.Given{})
	if err != nil {
		t.Fatal(err)
	}
	if n.Channels != 1 || n.Fit != "crop" || !slices.Equal(n.Mean, []float64{0.449}) || n.Size != 8 || n.Assumed() != "" {
		t.Errorf("the weights tell %+v; %s", n.Metadata, n.Assumed())
	}
	_, err = runJob(t, context.Background(), colours, silent{},
		func(c *Config) { recipe(c); c.Init = filepath.Join(s.Dir, ModelFile) })
	if err == nil || !strings.Contains(err.Error(),
		"its network takes images of 1 channel, grey; those of the data set subset have 3 channels") ||
		!strings.Contains(err.Error(), "--channels 1") {
		t.Errorf("weights for grey images: %v", err)
	}
	if _, err := runJob(t, context.Background(), data, silent{},
		func(c *Config) { recipe(c); c.Mean = "0.1,0.2,0.3" }); err == nil ||
		!strings.Contains(err.Error(), "--mean") {
		t.Errorf("three means of grey images: %v", err)
	}
}
