package train

import (
	"fmt"
	"strings"
	"unicode"
)

// DivergedError says that loss, gradient or weights are no longer numbers.
type DivergedError struct {
	Step      int
	Loss      float64
	Reason    string // what was found
	Good      string // path of the last checkpoint from before, "" if there is none
	GoodStep  int    // its step
	Rollbacks int    // returns to a checkpoint that did not help
	Dir       string // the run folder

	weights int // after this step the weights were those that gave what was found
}

func (e *DivergedError) Error() string {
	s := fmt.Sprintf("training diverged: step %d, loss %v: %s", e.Step, e.Loss, e.Reason)
	if e.Rollbacks > 0 {
		s += fmt.Sprintf("; %d rollbacks, each with half the learning rate, did not help", e.Rollbacks)
	}
	if e.Good == "" {
		return s + "; no checkpoint of better weights is there; try a smaller --lr"
	}
	s += fmt.Sprintf("; the last good checkpoint is %s, of step %d", e.Good, e.GoodStep)
	if e.Rollbacks == 0 {
		return s + fmt.Sprintf("; start again with a smaller --lr, or go on from there with half the rate: %s "+
			"--on-divergence %s", ResumeCommand(e.Dir), RollbackOnDivergence)
	}
	return s + "; start again with a smaller --lr"
}

// StoppedError is an error in the midst of a run, whose folder can be resumed.
type StoppedError struct {
	Err  error
	Dir  string
	Path string // of the last checkpoint, "" if there is none
	Step int    // its step
	Rank int    // of the process, of which only the first knows of checkpoints
}

func (e *StoppedError) Error() string {
	if e.Rank > 0 {
		return fmt.Sprintf("%v; to go on from the last checkpoint: %s", e.Err, ResumeCommand(e.Dir))
	}
	if e.Path == "" {
		return fmt.Sprintf("%v; no checkpoint was saved yet; to start over: %s", e.Err, ResumeCommand(e.Dir))
	}
	return fmt.Sprintf("%v; the last checkpoint is %s, of step %d; to go on from it: %s", e.Err, e.Path, e.Step,
		ResumeCommand(e.Dir))
}

func (e *StoppedError) Unwrap() error { return e.Err }

// ResumeCommand is what to type to go on with the run in a folder.
func ResumeCommand(dir string) string {
	if strings.ContainsFunc(dir, func(r rune) bool {
		return !(r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune("/\\._-+:", r))
	}) {
		dir = "'" + strings.ReplaceAll(dir, "'", `'\''`) + "'"
	}
	return "ninvk train --resume " + dir
}
