// Command ninvk is the command line: flags, exit codes, what a person sees. It trains image classifiers on any GPU that
// Vulkan, Metal or DX12 reaches, and on software drivers.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"

	"github.com/alecthomas/kong"

	"ninvk/bench"
	"ninvk/check"
	"ninvk/dataset"
	"ninvk/dist"
	"ninvk/gpu"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/ops"
	"ninvk/picture"
	"ninvk/pth"
	"ninvk/safetensors"
	"ninvk/train"
)

// cli is the command line.
type cli struct {
	LogLevel slog.Level `help:"Diagnostics on stderr from this level on: debug, info, warn or error." default:"warn"`

	Adapters adaptersCommand `cmd:"" help:"List the adapters of this machine and what they allow."`
	Data     struct {
		Fetch   fetchCommand   `cmd:"" help:"Obtain a data set, each file checked by SHA-256."`
		Verify  verifyCommand  `cmd:"" help:"Check the files of CIFAR-10, or a packed set, against their checksums."`
		Pack    packCommand    `cmd:"" help:"Decode and fit the images of a data set once, into one file that --data takes."`
		Inspect inspectCommand `cmd:"" help:"Tell what is in a data set: classes, sizes, duplicates, what is broken."`
	} `cmd:"" help:"Obtain, check, look into and pack data sets."`
	Train   trainCommand `cmd:"" help:"Train a network; draws its accuracy and keeps weights that PyTorch can load."`
	Recipes struct {
		List recipesListCommand `cmd:"" default:"1" help:"List the recipes, each with a line about it."`
		Show recipesShowCommand `cmd:"" help:"Print a recipe: a TOML file, as --config takes it."`
	} `cmd:"" help:"Sets of training settings that are part of the program."`
	Runs        runsCommand        `cmd:"" help:"${main_runs}"`
	Plot        plotCommand        `cmd:"" help:"Compare runs in one picture: accuracy and loss."`
	Eval        evalCommand        `cmd:"" help:"Loss and accuracy of trained weights."`
	Predict     predictCommand     `cmd:"" help:"Say what is in images, and show where in them the network sees it."`
	Filters     filtersCommand     `cmd:"" help:"Draw the filters of the first layer."`
	Activations activationsCommand `cmd:"" help:"Draw what a layer makes of an image."`
	Bench       benchCommand       `cmd:"" help:"Measure the adapter, the operators and whole networks."`
	Tune        tuneCommand        `cmd:"" help:"${main_tune}"`
	Models      modelsCommand      `cmd:"" help:"List the networks, or the layers of one."`
	Check       checkCommand       `cmd:"" help:"Tell whether an adapter computes rightly."`
	Export      exportCommand      `cmd:"" help:"Write trained weights for other programs, as ONNX or safetensors."`
	Import      importCommand      `cmd:"" help:"Take weights from PyTorch's own .pth files."`
	Web         webCommand         `cmd:"" help:"${main_web}"`
	Completion  completionCommand  `cmd:"" help:"Print a script that has a shell complete commands, flags and values."`
	Man         manCommand         `cmd:"" help:"Print the manual page."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
}

// Exit codes.
const (
	exitOther       = 1
	exitUsage       = 2
	exitNoAdapter   = 3
	exitLost        = 4
	exitDiverged    = 5
	exitBadFile     = 6
	exitInterrupted = 130
)

// interrupted ends a command that Ctrl-C or SIGTERM stopped after it saved what it had.
type interrupted struct{ message string }

func (e *interrupted) Error() string { return e.message }

// usageError is a command line that can't be right.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

// newParser is the parser of the command line.
func newParser(c *cli) *kong.Kong {
	c.Train.Flags = train.NewFlags()
	parser, err := kong.New(c, kong.Name("ninvk"), kong.UsageOnError(), words,
		kong.Description("Image classifiers trained on any GPU."), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		panic(err) // the declarations above contradict each other
	}
	return parser
}

func main() {
	var c cli
	parser := newParser(&c)
	command, err := parser.Parse(os.Args[1:])
	if err != nil {
		of := "ninvk"
		if p := (*kong.ParseError)(nil); errors.As(err, &p) && p.Context.Selected() != nil {
			of = p.Context.Selected().FullPath()
		}
		fmt.Fprintf(os.Stderr, "ninvk: %v; see %s --help\n", err, of)
		os.Exit(exitUsage)
	}
	slog.SetDefault(slog.New(newMessages(clearing{openScreen(os.Stderr)}, c.LogLevel)))
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	stopOn(signals)
	go watchSignals(signals, stop)
	command.BindTo(ctx, (*context.Context)(nil))
	err = command.Run()
	if err == nil && stdout.err != nil {
		err = fmt.Errorf("writing the results to stdout: %w", stdout.err)
	}
	if err != nil {
		if !errors.As(err, new(reported)) {
			fmt.Fprintf(os.Stderr, "ninvk: %v\n", err)
		}
		os.Exit(exitCode(err))
	}
}

// results are a command's, on stdout. The first error of writing them ends it with exit code 1 at the latest when its
// work is done.
type results struct {
	file *os.File
	err  error
}

var stdout = &results{file: os.Stdout}

func (r *results) Write(b []byte) (int, error) {
	n, err := r.file.Write(b)
	if r.err == nil {
		r.err = err
	}
	return n, err
}

// silent says that another process speaks for this one.
var silent atomic.Bool

// watchSignals ends the context at the first signal and the process at the second, but for those that launchers may
// pass on more than once.
func watchSignals(signals <-chan os.Signal, stop func()) {
	<-signals
	if !silent.Load() {
		fmt.Fprintln(clearing{openScreen(os.Stderr)},
			"stopping as soon as what is under way is saved; once more to leave at once")
	}
	stop()
	for patient(<-signals) {
	}
	os.Exit(exitInterrupted)
}

// exitCode is the contract of the table in docs/commands.md, whose words are exitMeanings.
func exitCode(err error) int {
	is := func(target any) bool { return errors.As(err, target) }
	var measuring *bench.ChildError
	var checking *check.ChildError
	var elsewhere *foreign
	var group *dist.Failure
	switch {
	case is(&elsewhere):
		return elsewhere.code
	case is(&group):
		return cmp.Or(group.Code, exitLost)
	case is(&measuring):
		return measuring.Code
	case is(&checking):
		return checking.Code
	case is(new(*interrupted)):
		return exitInterrupted
	case is(new(*usageError)), is(new(*train.UsageError)), is(new(*train.MismatchError)), is(new(*dist.LaunchError)),
		is(new(*models.UnknownModelError)), is(new(*models.ClassesError)), is(new(*models.ValuesError)),
		is(new(*models.SizeError)),
		is(new(*models.UnknownLayerError)), is(new(*ops.VariantError)), is(new(*gpu.LimitsError)):
		return exitUsage
	case is(new(*gpu.NoAdapterError)), is(new(*gpu.AmbiguousAdapterError)):
		return exitNoAdapter
	case is(new(*gpu.LostError)), is(new(*nn.MemoryError)), errors.Is(err, gpu.ErrTooLarge):
		return exitLost
	case is(new(*train.DivergedError)):
		return exitDiverged
	case is(new(*dataset.FileError)), is(new(*safetensors.FormatError)), is(new(*models.WeightsError)), is(
		new(*train.ConfigError)), is(new(*bench.FileError)),
		is(new(*pth.FormatError)), is(new(*train.CheckpointError)), is(new(*train.MetricsError)),
		is(new(*picture.FormatError)):
		return exitBadFile
	}
	return exitOther
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run() error {
	fmt.Fprintln(stdout, "ninvk", version())
	return nil
}

// version is the program's.
func version() string { return train.Version() }
