package train

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// writerEnv names the run folder of a process that only writes, see TestKilledWriter.
const writerEnv = "NINVK_TEST_WRITER"

// TestKilledWriter kills, 50 times, a process that writes metrics and checkpoints as fast as the disk takes them,
// without an adapter: nearly all kills hit a write. Each next process goes on from what the one before left. No
// checkpoint reported as written may be lost, and none may be torn.
func TestKilledWriter(t *testing.T) {
	if dir := os.Getenv(writerEnv); dir != "" {
		writeUntilKilled(t, dir)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := filepath.Join(t.TempDir(), "run")
	durable, within := -1, 0
	const kills = 50
	for range kills {
		c := exec.Command(os.Args[0], "-test.run", "^TestKilledWriter$")
		c.Env = append(os.Environ(), writerEnv+"="+dir)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		begun := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for n := 0; lines.Scan(); n++ {
				if n == 0 {
					close(begun)
				}
				if step, err := strconv.Atoi(lines.Text()); err == nil { // the last line may be cut off: that is not this far yet
					durable = max(durable, step)
				}
			}
		}()
		select {
		case <-begun:
		case <-done:
			t.Fatal("the writer ended before it wrote anything")
		}
		time.Sleep(time.Duration(random.IntN(30_000)) * time.Microsecond)
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-done
		_ = c.Wait() // killed
		if left, _ := filepath.Glob(filepath.Join(dir, CheckpointDir, "*"+temporary)); len(left) > 0 {
			within++
		}
		checkFolder(t, dir, durable, false)
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("killed %d times, %d of them within a checkpoint, which reached step %d", kills, within, durable)
	if durable < kills {
		t.Errorf("the writers came to step %d, expected one a process at least", durable)
	}
}

// writeUntilKilled writes a step and a checkpoint after the other into a run folder, new or old, and prints each step
// whose checkpoint is written.
func writeUntilKilled(t *testing.T, dir string) {
	p := tinyPosition(0)
	p.Config.Out = dir
	var r *Run
	if _, err := os.Stat(filepath.Join(dir, ConfigFile)); err != nil {
		if r, err = newRun(osDisk{}, dir, p.Config); err != nil {
			t.Fatal(err)
		}
	} else {
		s, err := OpenSaved(dir)
		if err != nil {
			t.Fatal(err)
		}
		if s.Checkpoint != nil {
			p = s.Checkpoint.Position
		}
		if r, err = resumeRun(osDisk{}, s, p.Config); err != nil {
			t.Fatal(err)
		}
	}
	for {
		p.Step++
		if err := r.WriteStep(StepRecord{Epoch: 1, Step: p.Step, Loss: 2}); err != nil {
			t.Fatal(err)
		}
		if err := r.flush(); err != nil {
			t.Fatal(err)
		}
		r.mark(&p)
		if _, err := r.saveCheckpoint(p.Step, tinyCheckpoint(t, p)); err != nil {
			t.Fatal(err)
		}
		fmt.Println(p.Step)
	}
}
