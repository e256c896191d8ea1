// Package serve shows a training run in the browser while it goes on: curves, predictions, filters and facts on one
// page, fed by server-sent events.
package serve

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"ninvk/dataset"
	"ninvk/train"
)

//go:embed page
var page embed.FS

// Server is a web server that shows one run. It is a train.Reporter; its methods only note what they are told, and each
// browser is sent what it lacks by a goroutine of its own, so that none of them delays the run.
type Server struct {
	host     string // as given
	listener net.Listener
	http     http.Server
	stopped  sync.Once

	mu      sync.Mutex
	state                    // what is shown
	clients map[*client]bool // the browsers that listen
	gone    sync.WaitGroup   // until they have left
	closed  bool
}

// parseAddress takes :PORT or HOST:PORT apart; the error says what is wrong.
func parseAddress(address string) (host, port string, err error) {
	if host, port, err = net.SplitHostPort(address); err != nil {
		return "", "", errors.New("expected :PORT or HOST:PORT, such as :8080")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", "", fmt.Errorf("the port is %q, expected a number from 0 to 65535, such as in :8080", port)
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`/\?#@%"<>`, r) }) {
		return "", "", fmt.Errorf("the host is %q, expected a name or address of this machine", host)
	}
	return host, port, nil
}

// Listen begins to serve on an address, :PORT or HOST:PORT; without a host on the loopback interface alone, and on any
// free port where PORT is 0. What can't be is a *train.UsageError.
func Listen(address string) (*Server, error) {
	bad := func(problem string) (*Server, error) {
		return nil, &train.UsageError{Flag: "--serve", Value: strconv.Quote(address), Problem: problem}
	}
	host, port, err := parseAddress(address)
	if err != nil {
		return bad(err.Error())
	}
	bound := host
	if bound == "" {
		bound = "127.0.0.1"
	}
	l, err := net.Listen("tcp", net.JoinHostPort(bound, port))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return bad("the port is in use by another program; choose another, or 0 for any that is free")
	case errors.Is(err, fs.ErrPermission):
		return bad("the system does not let you use this port; choose one above 1023, such as 8080")
	case err != nil:
		return bad(fmt.Sprintf("can't serve there: %v", err))
	}
	s := &Server{host: host, listener: l, clients: map[*client]bool{}}
	s.state.status.State = preparing
	s.http = http.Server{
		Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 1 << 14,
		ErrorLog: log.New(io.Discard, "", 0), // of broken connections, which are the browsers' matter
	}
	go func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			slog.Warn("the page of the run is no longer served; training goes on", "error", err)
		}
	}()
	return s, nil
}

// Local says whether only this machine can reach the server.
func (s *Server) Local() bool { return s.listener.Addr().(*net.TCPAddr).IP.IsLoopback() }

// URL is the page's address.
func (s *Server) URL() string {
	a := s.listener.Addr().(*net.TCPAddr)
	host := s.host
	switch {
	case a.IP.IsUnspecified():
		host = "localhost"
	case host == "":
		host = a.IP.String()
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(a.Port)) + "/"
}

// handler answers GET for the page's four files and for the events.
func (s *Server) handler() http.Handler {
	files := map[string][2]string{ // file and type by path
		"/":         {"page.html", "text/html; charset=utf-8"},
		"/page.css": {"page.css", "text/css; charset=utf-8"},
		"/page.js":  {"page.js", "text/javascript; charset=utf-8"},
		"/chart.js": {"chart.js", "text/javascript; charset=utf-8"},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "+
			"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		file, known := files[r.URL.Path]
		switch {
		case !s.knows(r.Host):
			http.Error(w, "this server answers to localhost only", http.StatusMisdirectedRequest)
		case r.Method != http.MethodGet:
			h.Set("Allow", http.MethodGet)
			http.Error(w, "only GET is answered", http.StatusMethodNotAllowed)
		case r.URL.Path == "/events":
			s.events(w, r)
		case !known:
			http.NotFound(w, r)
		default:
			b, err := page.ReadFile("page/" + file[0])
			if err != nil {
				panic(err) // a file that is part of the program
			}
			h.Set("Content-Type", file[1])
			h.Set("Content-Length", strconv.Itoa(len(b)))
			w.Write(b) // an error is the browser's
		}
	})
}

// knows says whether a request's Host is one that the server goes by. A server for this machine alone must not answer
// to other names: a page from elsewhere whose name is made to lead here (DNS rebinding) could read the run.
func (s *Server) knows(host string) bool {
	if !s.Local() {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil {
		return ip.IsLoopback()
	}
	return strings.EqualFold(host, "localhost") || strings.EqualFold(host, s.host)
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
