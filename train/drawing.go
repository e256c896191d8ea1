package train

import (
	"fmt"
	"slices"
)

// plotted is a picture of a run in its folder.
type plotted struct {
	name string
	draw func(steps []StepRecord, epochs []EpochRecord, title string) ([]byte, error)
}

// Curves is a run as PlotRuns draws it.
type Curves struct {
	Name          string // for the legend
	Metrics       *Metrics
	StepsPerEpoch int // 0: not known
}

// MostCurves is the number of runs that can be told apart in one picture.
const MostCurves = 12

// draw begins to draw the plots of all steps and epochs so far, beside the steps to come: of a run of many steps they
// take as long as some epoch on a fast adapter. While earlier ones are still being drawn it leaves these out, unless
// they are the last.
func (l *loop) draw(last bool) error {
	if !l.leads() || l.drawing != nil && !last && len(l.drawing) == 0 {
		return nil
	}
	if err := l.waitDrawing(); err != nil {
		return err
	}
	steps, epochs := l.steps[:len(l.steps):len(l.steps)], slices.Clone(l.epochs)
	title := fmt.Sprintf("%s on %s, recipe %s", l.Config.Model, dataTitle(l.Data), l.Config.Recipe)
	done := make(chan error, 1)
	l.drawing = done
	go func() { done <- l.run.writePlots(steps, epochs, title) }()
	return nil
}

// waitDrawing waits until the plots being drawn, if there are any, are written.
func (l *loop) waitDrawing() error {
	if l.drawing == nil {
		return nil
	}
	err := <-l.drawing
	l.drawing = nil
	return err
}

// writePlots draws the plots of a run. It may run beside the other methods.
func (r *Run) writePlots(steps []StepRecord, epochs []EpochRecord, title string) error {
	for _, p := range plots {
		b, err := p.draw(steps, epochs, title)
		if err != nil {
			return err
		}
		if err := r.writeFile(p.name, b); err != nil {
			return err
		}
	}
	return nil
}
