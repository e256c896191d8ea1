package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"ninvk/dist"
	"ninvk/gpu"
	"ninvk/train"
)

// groupWait is how long processes wait for each other where nothing else is said.
const groupWait = 5 * time.Minute

// groupFlags say which processes work together.
type groupFlags struct {
	Distributed        string        `default:"auto" enum:"auto,mpi,off" help:"${processes}" placeholder:"auto|mpi|off"`
	DistributedTimeout time.Duration `default:"${wait}" help:"${group_timeout}" placeholder:"TIME"`
}

// open is the group that the flags ask for.
func (f groupFlags) open() (dist.Group, error) {
	if f.DistributedTimeout <= 0 {
		return nil, &train.UsageError{Flag: "--distributed-timeout", Value: fmt.Sprint(f.DistributedTimeout),
			Problem: "must be above 0, as 5m"}
	}
	if f.Distributed == "off" {
		return dist.Alone, nil
	}
	launcher, err := dist.FindLauncher(os.LookupEnv)
	if err != nil {
		return nil, err
	}
	if f.Distributed == "auto" && (launcher == nil || launcher.Size == 1) {
		if launcher != nil {
			fmt.Fprintf(os.Stderr, "%s has started this process alone\n", launcher.Name)
		}
		return dist.Alone, nil
	}
	g, err := dist.MPI("", f.DistributedTimeout)
	if err == nil && g.Size() == 1 {
		fmt.Fprintln(os.Stderr, "--distributed mpi: this process is alone; mpirun -n 4 ninvk … starts four")
	}
	return g, err
}

// reported is an error that has been said.
type reported struct{ error }

func (e reported) Unwrap() error { return e.error }

// shared is an error that all processes of a group come to at the same point.
type shared struct{ error }

func (e shared) Unwrap() error { return e.error }

// isShared says whether all processes of a group have an error, and none waits for another.
func isShared(err error) bool {
	return errors.As(err, new(shared)) || errors.As(err, new(*train.DivergedError)) ||
		errors.As(err, new(*train.MismatchError))
}

// run does work in the group that the flags ask for, and leaves it. Rank 0 speaks for all, but for what another alone
// has met.
func (f groupFlags) run(work func(dist.Group) error) error {
	g, err := f.open()
	if err != nil {
		return err
	}
	if g.Size() == 1 {
		err := work(g)
		if e := g.Close(); err == nil {
			err = e
		}
		return err
	}
	stderr := os.Stderr
	if g.Rank() > 0 {
		if err := hush(); err != nil {
			g.Abort(exitOther)
			return err
		}
	}
	err = work(g)
	say := func(err error) { fmt.Fprintf(clearing{openScreen(stderr)}, "ninvk: %v\n", err) }
	if err == nil || isShared(err) {
		if err != nil && g.Rank() == 0 { // before the others end, which may end this process
			say(err)
		}
		if e := g.Close(); err == nil {
			return e
		}
		return reported{err}
	}
	if g.Rank() > 0 { // what rank 0 has met as well it has said by then
		time.Sleep(time.Second)
	}
	say(fmt.Errorf("rank %d: %w", g.Rank(), err))
	g.Abort(exitCode(err))
	return reported{err}
}

// hush has this process say nothing but errors, as another says the rest.
func hush() error {
	silent.Store(true)
	slog.SetDefault(slog.New(newMessages(clearing{openScreen(os.Stderr)}, slog.LevelError)))
	nothing, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	os.Stderr, os.Stdout = nothing, nothing
	stdout.file = nothing
	return nil
}

// together says at all ranks what any has met before they begin to work together, each error once.
func together(g dist.Group, own error) error {
	if g.Size() == 1 {
		return own
	}
	text := ""
	if own != nil {
		text = strconv.Itoa(exitCode(own)) + " " + own.Error()
	}
	all, err := g.Gather([]byte(text))
	if err != nil {
		return err
	}
	var said []string
	var first *foreign
	for rank, b := range all {
		code, text, met := strings.Cut(string(b), " ")
		if !met {
			continue
		}
		if first == nil {
			n, _ := strconv.Atoi(code) // as written above
			first = &foreign{code: n}
			said = append(said, text)
			first.message = fmt.Sprintf("rank %d: %s", rank, text)
			if rank == 0 {
				first.message = text
			}
			continue
		}
		if !slices.Contains(said, text) {
			said = append(said, text)
			first.message += fmt.Sprintf("\nninvk: rank %d: %s", rank, text)
		}
	}
	if first == nil {
		return nil
	}
	return shared{first}
}

// foreign is an error that another process has met, with the exit code that it has there.
type foreign struct {
	code    int
	message string
}

func (e *foreign) Error() string { return e.message }

// adapterOf is the adapter for a process among those of its machine: of a list with commas in between the one of its
// number; without any the one of its number among those like the default, or an empty text for that. The first comes
// again after the last.
func adapterOf(selector string, g dist.Group) (string, error) {
	selector = cmp.Or(selector, os.Getenv(gpu.AdapterEnv))
	if list := strings.Split(selector, ","); len(list) > 1 {
		return strings.TrimSpace(list[g.Local()%len(list)]), nil
	}
	if selector != "" || g.Size() == 1 {
		return selector, nil
	}
	all, err := gpu.Adapters()
	if err != nil {
		return "", err
	}
	return alike(all, g.Local()), nil
}

// alike is the index of the adapter of that number among those of the default's type and backend.
func alike(all []gpu.Adapter, number int) string {
	var found []gpu.Adapter
	for _, d := range all {
		for _, a := range all {
			if d.Default && a.Type == d.Type && a.Backend == d.Backend {
				found = append(found, a)
			}
		}
	}
	if len(found) < 2 {
		return ""
	}
	return strconv.Itoa(found[number%len(found)].Index)
}

// quiet is a reporter of a process that another speaks for.
type quiet struct{}

func (quiet) Begin(*train.Run, train.RunInfo, int, int, int, int) {}
func (quiet) Step(train.StepRecord)                               {}
func (quiet) Evaluating(string, int, int)                         {}
func (quiet) Reading(string, int, int)                            {}
func (quiet) Epoch(train.EpochRecord)                             {}

// tellGroup says how the work is shared out, and how it goes on if a process is lost: the others may have no time to.
func tellGroup(g dist.Group, shards int, dir string) {
	if g.Size() > 1 {
		fmt.Fprintf(os.Stderr, "%d processes train together, each %d of the %d shards of a batch; if one is lost, all end; "+
			"to go on then, by the same launcher: %s\n", g.Size(), shards/g.Size(), shards, train.ResumeCommand(dir))
	}
}
