package train

import (
	"log/slog"
	"math"
	"time"

	"ninvk/models"
	"ninvk/nn"
	"ninvk/ops"
	"ninvk/safetensors"
)

// finish saves metrics, weights and plots after an epoch.
func (l *loop) finish(e EpochRecord, state *nn.State, verdicts []Verdict) error {
	l.epochs = append(l.epochs, e)
	l.epochStart = time.Now()
	last := l.step >= l.total || l.stalled()
	o := l.observation(e.Epoch, state, verdicts)
	if l.leads() && picturesDue(e.Epoch, l.Config.Epochs, last) {
		if err := l.run.writePictures(o, l.samples, l.Data.Classes); err != nil {
			return err
		}
	}
	if err := l.run.WriteEpoch(e); err != nil {
		return err
	}
	better := e.TestAccuracy > l.summary.Best || math.IsNaN(l.summary.Best) && !math.IsNaN(e.TestAccuracy)
	if better = better && e.Size == l.size; better { // weights are kept for the run's own size
		l.summary.Best, l.summary.BestEpoch = e.TestAccuracy, e.Epoch
	}
	l.summary.Last = e
	if err := l.save(state, better); err != nil {
		return err
	}
	if err := l.draw(last); err != nil {
		return err
	}
	if l.Observe != nil {
		l.Observe(o)
	}
	l.Report.Epoch(e)
	slog.Debug("on the adapter", "bytes", l.Device.Allocated(), "resources", l.Device.Live())
	return nil
}

// observation is what there is to look at after an epoch.
func (l *loop) observation(epoch int, state *nn.State, verdicts []Verdict) Observation {
	first, weights := models.FirstConv(l.net.Graph) // every network has one
	conv := first.Op().(ops.Conv)
	return Observation{Epoch: epoch, Layer: first.Name, Conv: conv, Filters: state.Final()[weights], Verdicts: verdicts}
}

// weights is the weights file of a state.
func (l *loop) weights(state *nn.State) ([]byte, error) {
	return safetensors.Encode(models.Export(l.about, l.net.Params(), state))
}

// save writes the weights, also as the best ones where they are.
func (l *loop) save(state *nn.State, best bool) error {
	if !l.leads() {
		return nil
	}
	weights, err := l.weights(state)
	if err != nil {
		return err
	}
	if err := l.run.writeFile(ModelFile, weights); err != nil || !best {
		return err
	}
	return l.run.writeFile(BestFile, weights)
}

// interrupt saves what there is: a checkpoint to go on from, the weights and the plots.
func (l *loop) interrupt() error {
	state, err := l.checkpoint()
	if err != nil {
		return err
	}
	if err := l.save(state, false); err != nil {
		return err
	}
	if err := l.draw(true); err != nil {
		return err
	}
	return l.waitWriting()
}
