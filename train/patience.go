package train

import "fmt"

// Stall is how long a run's test loss has not improved.
type Stall struct {
	Evaluations int     // since the least loss
	Loss        float64 // the least
	Epoch       int     // after which it was measured; 0 where none was
}

func (s Stall) String() string {
	times := "evaluations"
	if s.Evaluations == 1 {
		times = "evaluation"
	}
	return fmt.Sprintf("the test loss has not improved for %d %s (least %.4f, epoch %d)", s.Evaluations, times, s.Loss,
		s.Epoch)
}

// own are the epochs evaluated with images of the run's own size: losses at other sizes can't be compared with theirs.
func own(epochs []EpochRecord, size int) []EpochRecord {
	var out []EpochRecord
	for _, e := range epochs {
		if e.Size == size && !broken(e.TestLoss) {
			out = append(out, e)
		}
	}
	return out
}

// testLosses are the losses of own.
func testLosses(epochs []EpochRecord, size int) []float64 {
	var losses []float64
	for _, e := range own(epochs, size) {
		losses = append(losses, e.TestLoss)
	}
	return losses
}

// stalled is how long the test loss at the run's own image size has not improved, and whether that is as long as
// patience allows; 0 is for ever.
func stalled(epochs []EpochRecord, size, patience int) (s Stall, over bool) {
	for _, e := range own(epochs, size) {
		s.Evaluations++
		if s.Epoch == 0 || e.TestLoss < s.Loss {
			s = Stall{Loss: e.TestLoss, Epoch: e.Epoch}
		}
	}
	return s, patience > 0 && s.Evaluations >= patience
}
