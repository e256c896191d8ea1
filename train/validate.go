package train

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"ninvk/dataset"
	"ninvk/dist"
	"ninvk/models"
)

// maxEpochs keeps the number of steps countable.
const maxEpochs = 1_000_000

// maxResize is the largest that --resize takes, in pixels a side: larger is
// surely a slip. The smallest is the network's matter.
const maxResize = 4096

// Validate checks every setting that can be judged without the data, the
// model or the adapter. The error is a *UsageError.
func (c Config) Validate() error {
	usage := func(flag string, value any, problem string) error {
		return &UsageError{"--" + flag, fmt.Sprint(value), problem}
	}
	atLeastOne := func(flag string, v int) error {
		if v < 1 {
			return usage(flag, v, "must be at least 1")
		}
		return nil
	}
	epochs := func(v int) error {
		if v > maxEpochs {
			return usage("epochs", v, fmt.Sprintf("at most %d are supported", maxEpochs))
		}
		return atLeastOne("epochs", v)
	}
	// Written so that NaN, for which every comparison is false, is refused.
	fraction := func(flag string, v float64) error {
		if !(v >= 0 && v < 1) {
			return usage(flag, v, "must be at least 0 and below 1")
		}
		return nil
	}
	dropout := func(v *float64) error {
		if v == nil || *v == OwnDropout || *v >= 0 && *v < 1 {
			return nil
		}
		return usage("dropout", *v, fmt.Sprintf("must be at least 0 and below 1, or %d for each dropout's own", OwnDropout))
	}
	maxSteps := 1
	if c.MaxSteps != nil {
		maxSteps = *c.MaxSteps
	}
	if err := errors.Join(
		epochs(c.Epochs),
		atLeastOne("max-steps", maxSteps),
		atLeastOne("batch", c.Batch),
		fraction("momentum", c.Momentum),
		dropout(c.Dropout),
		fraction("ema", c.EMA),
		fraction("label-smoothing", c.LabelSmoothing),
		atLeastOne("eval-every", c.EvalEvery),
	); err != nil {
		return firstOf(err)
	}
	switch {
	case c.Data == "":
		return usage("data", "", "must be a folder, sample or auto")
	case c.Model == "":
		return usage("model", "", "must name a model")
	case !(c.LR > 0) || math.IsInf(c.LR, 0):
		return usage("lr", c.LR, "must be a finite number above 0")
	case !(c.WeightDecay >= 0) || math.IsInf(c.WeightDecay, 0):
		return usage("weight-decay", c.WeightDecay, "must be a finite number from 0")
	case c.Nesterov && c.Momentum == 0:
		return usage("momentum", c.Momentum, "must be above 0 with Nesterov momentum")
	case !slices.Contains(dataset.Fits, dataset.Fit(c.Fit)):
		return usage("fit", strconv.Quote(c.Fit), "must be crop, stretch or pad")
	case c.Channels != 0 && c.Channels != 1 && c.Channels != 3:
		return usage("channels", c.Channels, "must be 1 or 3, or 0 for the data's own")
	case c.Labels != dataset.Fine && c.Labels != dataset.Coarse:
		return usage("labels", strconv.Quote(c.Labels), "must be fine or coarse")
	case !(c.ValFraction > 0 && c.ValFraction < 1):
		return usage("val-fraction", c.ValFraction, "must be above 0 and below 1")
	case c.Stream != StreamAuto && c.Stream != StreamAlways && c.Stream != StreamNever:
		return usage("stream", strconv.Quote(c.Stream), "must be auto, always or never")
	case c.NewHead && c.Init == "":
		return usage("new-head", "", "makes the last layers of weights to start from anew; name those by --init")
	case models.RuleOf(c.Initial) == nil:
		return usage("initial", strconv.Quote(c.Initial), "must be one of "+strings.Join(models.Rules(), ", "))
	case c.ClassWeights != EqualWeights && c.ClassWeights != BalancedWeights:
		return usage("class-weights", strconv.Quote(c.ClassWeights), "must be none or balanced")
	case c.Patience < 0:
		return usage("patience", c.Patience, "must be a number of evaluations, or 0 for no limit")
	case !(c.ClipNorm >= 0) || math.IsInf(c.ClipNorm, 0):
		return usage("clip-norm", c.ClipNorm, "must be a finite number above 0, or 0 for no limit")
	case c.EvalTrain < 0:
		return usage("eval-train", c.EvalTrain, "must be a number of images, or 0 for all")
	case c.Micro < 0:
		return usage("micro-batch", c.Micro, "must be at least 1 image, or 0 for the whole batch at once")
	case c.Shards != 0 && !dist.PowerOfTwo(c.Shards):
		return usage("shards", c.Shards, "must be a power of two, or 0 for as many as there are processes")
	case c.Shards > c.Batch:
		return usage("shards", c.Shards, fmt.Sprintf("a batch of %d images can't be cut into so many", c.Batch))
	case !(c.Aux >= 0) || math.IsInf(c.Aux, 0):
		return usage("aux", c.Aux, "must be a finite number above 0, or 0 for no auxiliary heads")
	case c.CheckpointEvery < 0:
		return usage("checkpoint-every", c.CheckpointEvery, "must be a number of steps, or 0 for every five minutes")
	case c.OnDivergence != StopOnDivergence && c.OnDivergence != RollbackOnDivergence:
		return usage("on-divergence", strconv.Quote(c.OnDivergence), "must be stop or rollback")
	case c.Resize != nil && (*c.Resize < 0 || *c.Resize > maxResize):
		return usage("resize", *c.Resize, fmt.Sprintf("must be 0 (the data's own size) or from 1 to %d pixels", maxResize))
	case c.Seed > math.MaxInt64:
		// TOML has no larger integers, and config.toml must hold the seed.
		return usage("seed", c.Seed, fmt.Sprintf("must be at most %d", math.MaxInt64))
	}
	if _, err := dataset.ParseAugment(c.Augment); err != nil {
		return usage("augment", strconv.Quote(c.Augment), err.Error())
	}
	if _, err := ParseSizes(c.Sizes); err != nil {
		return err
	}
	if _, err := c.given(); err != nil {
		return err
	}
	_, err := ParseSchedule(c.Schedule)
	return err
}

// firstOf is the first of the errors that errors.Join put together.
func firstOf(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()[0]
	}
	return err
}
