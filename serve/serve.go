// Package serve is the web page of a training run that goes on. It has curves, predictions, filters and facts, fed by
// server-sent events.
package serve

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"ninvk/dataset"
	"ninvk/page"
	"ninvk/train"
)

//go:embed page
var own embed.FS

// Server is a web server that shows one run. It is a train.Reporter; its methods only note what they are told, and each
// browser is sent what it lacks by a goroutine of its own, so that none of them delays the run.
type Server struct {
	*page.Listener
	http    http.Server
	stopped sync.Once

	mu      sync.Mutex
	state                    // what is shown
	clients map[*client]bool // the browsers that listen
	gone    sync.WaitGroup   // until they have left
	closed  bool
}

// Listen begins to serve on an address, :PORT or HOST:PORT; without a host on the loopback interface alone, and on any
// free port where PORT is 0. What can't be is a *train.UsageError.
func Listen(address string) (*Server, error) {
	l, err := page.Listen(address)
	if err != nil {
		return nil, &train.UsageError{Flag: "--serve", Value: strconv.Quote(address), Problem: err.Error()}
	}
	s := &Server{Listener: l, clients: map[*client]bool{}}
	s.state.status.State = preparing
	s.http = page.Server(s.handler())
	go func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			slog.Warn("the page of the run is no longer served; training goes on", "error", err)
		}
	}()
	return s, nil
}

// handler answers GET for the page's files and for the events.
func (s *Server) handler() http.Handler {
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'"
	return s.Handler(policy, page.Parts(own, "page"), map[string]http.HandlerFunc{"/events": s.events})
}

// Describe tells what is trained, before the run lets go of the images.
func (s *Server) Describe(c train.Config, d *dataset.Set) {
	s.change(func() {
		s.run.Settings = c
		s.run.TrainImages, s.run.TestImages = d.Train.Len(), d.Test.Len()
		s.run.Samples = newSamples(d.Test)
		s.run.Classes = d.Classes
		s.runVersion++
	})
}

// Begin shows what is trained on what; of a resumed run also the steps before.
func (s *Server) Begin(run *train.Run, info train.RunInfo, epochs, stepsPerEpoch, totalSteps, doneSteps int) {
	var before train.Metrics
	if doneSteps > 0 {
		m, err := train.ReadMetrics(run.Path(train.MetricsFile))
		if err != nil { // the run itself has just read it
			slog.Warn("the page lacks the steps before", "error", err)
		} else {
			before = *m
		}
	}
	info.Variants = nil // pages long, and in metrics.jsonl
	s.change(func() {
		s.run.RunInfo, s.run.Dir, s.run.StepsPerEpoch = info, run.Dir(), stepsPerEpoch
		s.runVersion++
		for _, x := range before.Steps {
			s.addStep(x)
		}
		for _, x := range before.Epochs {
			s.addEpoch(x)
		}
		s.status = status{State: training, Step: doneSteps, Steps: totalSteps, Epochs: epochs}
		s.begun, s.before = time.Now(), doneSteps
	})
}

// Step adds a step to the curves.
func (s *Server) Step(r train.StepRecord) {
	s.change(func() {
		s.addStep(r)
		s.status.State, s.status.Step, s.status.Epoch = training, r.Step, r.Epoch
		s.stepped = time.Now()
	})
}

// Evaluating shows how far an evaluation is.
func (s *Server) Evaluating(split string, done, total int) {
	s.change(func() {
		s.status.State, s.status.Split, s.status.Done, s.status.Total = evaluating, split, done, total
	})
}

// Reading shows how far the reading of a split's images is.
func (s *Server) Reading(split string, done, total int) {
	s.change(func() {
		s.status.State, s.status.Split, s.status.Done, s.status.Total = reading, split, done, total
	})
}

// Epoch adds an epoch to the curves and the table.
func (s *Server) Epoch(e train.EpochRecord) {
	s.change(func() {
		s.addEpoch(e)
		s.status.State, s.status.Epoch = training, e.Epoch
		s.status.Waited += e.Waited
	})
}

// Observe shows the filters and what the network says about the samples. It is a train.Job's Observe.
func (s *Server) Observe(o train.Observation) {
	f, v := newFilters(o), newVerdicts(o)
	s.change(func() {
		s.filters = f
		s.filtersVersion++
		if v != nil {
			s.verdicts = v
			s.verdictsVersion++
		}
	})
}

// lingering is how long End waits for browsers to take the last news.
const lingering = 2 * time.Second

// End shows how the run ended, and stops the server once the browsers know it.
func (s *Server) End(summary train.Summary, err error) {
	s.change(func() {
		switch {
		case err != nil:
			s.status.State, s.status.Message = failed, err.Error()
		case summary.Interrupted:
			s.status.State, s.status.Message = interrupted,
				fmt.Sprintf("Interrupted after step %d. To go on: %s", summary.Steps, train.ResumeCommand(summary.Dir))
		default:
			s.status.State, s.status.Message = finished, "The run is complete."
			if summary.Stall != nil {
				s.status.Message = fmt.Sprintf("The run has ended early: %v.", *summary.Stall)
			}
			if !math.IsNaN(summary.Best) {
				s.status.Message += fmt.Sprintf(" Best test accuracy: %.2f %% (epoch %d).", 100*summary.Best,
					summary.BestEpoch)
			}
		}
		s.ended = time.Now()
	})
	s.Close()
}

// Close stops the server, after at most lingering. Closing twice is harmless.
func (s *Server) Close() {
	s.stopped.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.change(func() {})
		gone := make(chan struct{})
		go func() {
			s.gone.Wait()
			close(gone)
		}()
		ctx, cancel := context.WithTimeout(context.Background(), lingering)
		defer cancel()
		select {
		case <-gone:
			_ = s.http.Shutdown(ctx) // lets other answers end
		case <-ctx.Done():
		}
		_ = s.http.Close()
	})
}
