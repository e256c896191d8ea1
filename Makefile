# Flags of the quickstart's training: about three minutes on two slow cores without a GPU. 1,000 images are an epoch;
# at 24×24 pixels they are a little more than half the work of 32×32.
QUICKSTART := --epochs 4 --batch 32 --resize 24 --dropout 0 --augment flip

# Packages tested at a time. They share one adapter, which on Lavapipe already uses every core.
TEST_PACKAGES := 1

# Time limit of one package's tests.
TEST_TIMEOUT := 4m
FULL_TIMEOUT := 60m

.PHONY: help build setup quickstart test test-full onnxruntime bench-peers pretrained vet fmt

help:
	@echo 'make quickstart   set up, build, and train on the embedded sample (about three minutes)'
	@echo 'make setup        install what is missing to build and run (Debian, Ubuntu)'
	@echo 'make build        build bin/ninvk'
	@echo 'make test         set up, and test all that must hold (under five minutes on two cores)'
	@echo 'make test-full    the same with the slow suites'
	@echo 'make bench-peers  install PyTorch and TensorFlow.js, and compare the speed with theirs (ten minutes on two cores)'
	@echo 'make pretrained   after new embedded weights: their figures and pictures anew, from CIFAR-10 in DATA (default: data)'
	@echo 'make fmt vet      format; look for mistakes'
	@echo
	@echo 'NINVK_ADAPTER chooses the adapter: an index, a part of its name, or a type (cpu, discrete, integrated).'

setup:
	@ci/setup.sh

build:
	go build -o bin/ninvk ./cmd/ninvk

quickstart: setup
	@$(MAKE) --no-print-directory build
	@ci/quickstart.sh $(QUICKSTART)

# Packages are built together first: go test -p limits building as well as testing.
test: setup
	@$(MAKE) --no-print-directory build vet
	@bin/ninvk adapters
	go test -p $(TEST_PACKAGES) -count 1 -timeout $(TEST_TIMEOUT) ./...

test-full: export NINVK_FULL = 1
test-full: TEST_TIMEOUT = $(FULL_TIMEOUT)
test-full: onnxruntime test

# The runtime that exported models are tried with, for test-full alone. Its install script would download what only GPUs need.
onnxruntime: onnx/testdata/node_modules/onnxruntime-node

onnx/testdata/node_modules/onnxruntime-node:
	@command -v npm >/dev/null || { echo 'make test-full needs npm and Node.js (Debian: npm), to install ONNX Runtime' >&2; exit 1; }
	npm install --prefix onnx/testdata --no-save --no-package-lock --ignore-scripts --no-audit --no-fund onnxruntime-node@1.17.0

# Flags of bench/peers/run.py, as --batch 128 or --peers pytorch.
PEERS :=

bench-peers: setup
	@$(MAKE) --no-print-directory build
	@bench/peers/run.py $(PEERS)

# What is said and shown of the weights in nin/pretrained; the README's figure is for a person to write, and a test compares it.
DATA := data

pretrained: build
	bin/ninvk eval --data $(DATA) --out docs/predict --json > bin/figures.json
	mv bin/figures.json nin/pretrained/nin-bn-cifar10.json
	bin/ninvk predict docs/images --cam docs/predict/maps.png > docs/predict/predictions.txt
	bin/ninvk predict docs/images --cam docs/predict/maps-cat.png --class cat > /dev/null
	bin/ninvk filters --out docs/predict/filters.png
	bin/ninvk activations docs/images/cat.png --layer classifier.1 --out docs/predict/activations.png

vet:
	go vet ./...

fmt:
	gofmt -l -w .
