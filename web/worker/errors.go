package worker

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"ninvk/dataset"
	"ninvk/gpu"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/pth"
	"ninvk/safetensors"
	"ninvk/train"
)

// inputError says what is wrong with a message.
type inputError struct{ problem string }

func (e *inputError) Error() string { return e.problem }

// kind is whose fault an error is, in the words of the protocol.
func kind(err error) string {
	is := func(targets ...any) bool {
		for _, t := range targets {
			if errors.As(err, t) {
				return true
			}
		}
		return false
	}
	switch {
	case is(new(*gpu.NoAdapterError)):
		return "no-webgpu"
	case is(new(*gpu.NoMemoryError), new(*nn.MemoryError)), errors.Is(err, gpu.ErrTooLarge):
		return "memory"
	case is(new(*gpu.LostError)):
		return "lost"
	case is(new(*inputError), new(*train.UsageError), new(*train.ConfigError), new(*train.CheckpointError),
		new(*train.MetricsError), new(*train.DivergedError), new(*models.WeightsError), new(*models.ClassesError),
		new(*models.UnknownModelError), new(*models.SizeError), new(*models.ValuesError), new(*dataset.FileError),
		new(*safetensors.FormatError), new(*pth.FormatError)):
		return "input"
	}
	return "other"
}

// inPage is an error in words for a page, where there are neither flags nor folders of runs.
func inPage(err error) string {
	var stopped *train.StoppedError
	var diverged *train.DivergedError
	var usage *train.UsageError
	switch {
	case errors.As(err, &diverged):
		return fmt.Sprintf("training diverged: step %d, loss %v: %s; start again with a lower learning rate, or from what "+
			"was saved before", diverged.Step, diverged.Loss, diverged.Reason)
	case errors.As(err, &stopped):
		return stopped.Err.Error()
	case errors.As(err, &usage):
		return strings.TrimSpace(strings.TrimLeft(usage.Flag, "-")+" "+usage.Value) + ": " + usage.Problem
	}
	return err.Error()
}

// fail tells an error; of is what was asked for, "" for nothing.
func (w *Worker) fail(err error, of string) {
	m := Message{"is": "error", "kind": kind(err), "text": inPage(err)}
	if of != "" {
		m["of"] = of
	}
	w.post(m)
}

// text is a value of a message, "" where it is none.
func text(m Message, key string) string {
	s, _ := m[key].(string)
	return s
}

// number is a value of a message.
func number(m Message, key string) (float64, error) {
	switch v := m[key].(type) {
	case float64:
		return v, nil
	case int:
		return float64(v), nil
	case nil:
		return 0, &inputError{fmt.Sprintf("%s is missing", key)}
	}
	return 0, &inputError{fmt.Sprintf("%s is %v, a number is expected", key, m[key])}
}

// whole is a value of a message that counts something.
func whole(m Message, key string) (int, error) {
	v, err := number(m, key)
	if err == nil && (v != math.Trunc(v) || math.Abs(v) > 1<<31) {
		err = &inputError{fmt.Sprintf("%s is %v, a whole number is expected", key, v)}
	}
	return int(v), err
}

// list is a list in a message's form.
func list[T any](v []T) []any {
	out := make([]any, len(v))
	for i, x := range v {
		out[i] = x
	}
	return out
}

// measured is null for what is no number.
func measured(v float64) any {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return v
}
