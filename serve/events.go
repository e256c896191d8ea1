package serve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// client is a browser that listens: what it has of the state.
type client struct {
	wake                   chan struct{} // there is news; holds one
	steps, epochs          int           // how many of the first points and epochs it has for good
	shown                  int           // how many epochs it has, also such as are no more
	run, verdicts, filters int           // versions
}

// Limits of what browsers may ask for.
const (
	mostClients = 64
	pause       = 250 * time.Millisecond // between two events
	heartbeat   = 10 * time.Second       // between events where there is no news
	patience    = 15 * time.Second       // for a browser to take an event
)

// update is an event: what has changed. Lists begin at a place: what the browser has from there on is replaced.
type update struct {
	Status   status       `json:"status"`
	Run      *run         `json:"run,omitempty"`
	Steps    *tail[point] `json:"steps,omitempty"`
	Epochs   *tail[epoch] `json:"epochs,omitempty"`
	Verdicts []verdict    `json:"verdicts,omitempty"`
	Filters  *filters     `json:"filters,omitempty"`
}

type tail[T any] struct {
	From int `json:"from"`
	List []T `json:"list"`
}

// change changes the state and wakes the browsers' goroutines. It does not wait for them.
func (s *Server) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	for c := range s.clients {
		select {
		case c.wake <- struct{}{}:
		default: // it has still to look
		}
	}
}

// take is what the browser lacks, and whether nothing will follow. A browser that was slow gets more at a time, never
// more than the state, whose lists are thinned.
func (s *Server) take(c *client) (u update, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u.Status = s.now()
	if c.run < s.runVersion {
		r := s.run
		u.Run, c.run = &r, s.runVersion
	}
	if n := len(s.steps.points); c.steps < n {
		u.Steps = &tail[point]{c.steps, slices.Clone(s.steps.points[c.steps:])}
		c.steps = n
	}
	if n := len(s.epochs.list); c.epochs < n || n < c.shown {
		u.Epochs = &tail[epoch]{c.epochs, slices.Clone(s.epochs.list[c.epochs:])}
		c.epochs, c.shown = n, n
	}
	if c.verdicts < s.verdictsVersion {
		u.Verdicts, c.verdicts = s.verdicts, s.verdictsVersion
	}
	if c.filters < s.filtersVersion {
		u.Filters, c.filters = s.filters, s.filtersVersion
	}
	return u, s.closed
}

// join adds a browser, unless there are too many or the server is closing.
func (s *Server) join() *client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.clients) >= mostClients {
		return nil
	}
	c := &client{wake: make(chan struct{}, 1)}
	s.clients[c] = true
	s.gone.Add(1)
	return c
}

func (s *Server) leave(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, c)
	s.gone.Done()
}

// events sends the whole state, then what changes, until the run's end.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	c := s.join()
	if c == nil {
		http.Error(w, "the run is over, or too many pages are open", http.StatusServiceUnavailable)
		return
	}
	defer s.leave(c)
	w.Header().Set("Content-Type", "text/event-stream")
	stream := http.NewResponseController(w)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		u, last := s.take(c)
		b, err := json.Marshal(u)
		if err != nil {
			panic(err) // every number in it can be written
		}
		if stream.SetWriteDeadline(time.Now().Add(patience)) != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", b); err != nil || stream.Flush() != nil || last {
			return
		}
		select {
		case <-c.wake:
		case <-beat.C:
		case <-r.Context().Done():
			return
		}
		select { // what comes meanwhile goes with it
		case <-time.After(pause):
		case <-r.Context().Done():
			return
		}
	}
}
