#!/usr/bin/env python3
"""Images a second that PyTorch trains and evaluates networks with.

A server for run.py: it reads a request a line from stdin, and answers each by a line on stdout.

A request is a JSON object: network (as `ninvk models NAME --json` prints it), batch, device (cpu, cuda or mps),
threads, seconds (for each of training and inference), passes (train, infer), and options, of which these are known:

  channels_last   activations and weights in memory as NHWC
  flush_denormal  denormal numbers count as zero (CPU)
  frozen          inference by TorchScript, frozen and optimised for it: batch norms are part of the convolutions
  graph           a step is captured as a CUDA graph and replayed
  tf32            convolutions and products may round to TF32, as PyTorch's default has it for convolutions
"""
import json
import statistics
import sys
import time

import torch
from torch import nn


class Add(nn.Module):
    def forward(self, first, *others):
        for x in others:
            first = first + x
        return first


class Concat(nn.Module):
    def forward(self, *parts):
        return torch.cat(parts, 1)


class Subsample(nn.Module):
    """Every so many pixels, with channels of zeros before and behind."""

    def __init__(self, a):
        super().__init__()
        self.stride, self.zeros = a["stride"], (0, 0, 0, 0, a["channels_before"], a["channels_after"])

    def forward(self, x):
        return nn.functional.pad(x[:, :, :: self.stride, :: self.stride], self.zeros)


# The module of a layer, by the kind that ninvk calls it, from its attributes, its number of channels, and whether it
# has a bias.
KINDS = {
    "Conv": lambda a, c, bias: nn.Conv2d(a["in_channels"], c, a["kernel"], a["stride"], a["padding"], bias=bias),
    "Linear": lambda a, c, bias: nn.Sequential(nn.Flatten(), nn.Linear(a["in_features"], c, bias)),
    "BatchNorm": lambda a, c, bias: nn.BatchNorm2d(c, a["eps"], a["momentum"]),
    "ReLU": lambda a, c, bias: nn.ReLU(),
    "MaxPool": lambda a, c, bias: nn.MaxPool2d(a["kernel"], a["stride"], a["padding"], ceil_mode=a["ceil_mode"]),
    "AvgPool": lambda a, c, bias: nn.AvgPool2d(a["kernel"], a["stride"], a["padding"]),
    "GlobalAvgPool": lambda a, c, bias: nn.AdaptiveAvgPool2d(1),
    "AdaptiveAvgPool": lambda a, c, bias: nn.AdaptiveAvgPool2d((a["height"], a["width"])),
    "Dropout": lambda a, c, bias: nn.Dropout(a["p"]),
    "Add": lambda a, c, bias: Add(),
    "Concat": lambda a, c, bias: Concat(),
    "Subsample": lambda a, c, bias: Subsample(a),
}


class Net(nn.Module):
    """A network from the list of its layers."""

    def __init__(self, layers):
        super().__init__()
        self.plan, self.steps = [], nn.ModuleList()
        last = {name: layer["name"] for layer in layers for name in layer["inputs"]}  # who reads a layer last
        for layer in layers[1:]:
            if layer["kind"] not in KINDS:
                raise ValueError("no module is known for a layer of kind " + layer["kind"])
            a = layer.get("attributes") or {}
            bias = any(t["name"].endswith(".bias") for t in layer.get("tensors", []))
            self.steps.append(KINDS[layer["kind"]](a, layer["output"][0], bias))
            free = [i for i in set(layer["inputs"]) if last[i] == layer["name"]]
            own_relu = layer["kind"] != "ReLU" and a.get("relu", False)
            self.plan.append((layer["name"], layer["inputs"], own_relu, free))
        self.first = layers[0]["name"]

    def forward(self, x):
        values = {self.first: x}
        for (name, inputs, relu, free), step in zip(self.plan, self.steps):
            x = step(*[values[i] for i in inputs])
            values[name] = x = nn.functional.relu(x, inplace=True) if relu else x
            for i in free:
                del values[i]
        return x.flatten(1)


def wait(device):
    if device != "cpu":
        getattr(torch, device).synchronize()


def rate(step, batch, device, seconds):
    """Median images a second of samples that take a tenth of the time each, or a step."""
    begun, took = time.perf_counter(), 0
    for _ in range(4):  # the first take memory
        start = time.perf_counter()
        step()
        wait(device)
        took = time.perf_counter() - start
        if time.perf_counter() - begun > seconds:
            break
    steps = max(1, int(seconds / 10 / took))
    least = 3 if took < seconds else 1
    rates, begun = [], time.perf_counter()
    while len(rates) < least or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        for _ in range(steps):
            step()
        wait(device)
        rates.append(steps * batch / (time.perf_counter() - start))
    return statistics.median(rates)


def captured(step, seconds=0):
    """The step as a CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def measure(r):
    options, device, batch = r["options"], r["device"], r["batch"]
    torch.manual_seed(1)
    if device == "cpu":
        torch.set_num_threads(r["threads"])
        torch.set_flush_denormal("flush_denormal" in options)
    if device == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = "tf32" in options
        torch.backends.cuda.matmul.allow_tf32 = False  # PyTorch's default; the networks' products are convolutions
    form = torch.channels_last if "channels_last" in options else torch.contiguous_format
    layers = r["network"]["layers"]
    net = Net(layers).to(device, memory_format=form)
    parameters = sum(p.numel() for p in net.parameters())
    if parameters != r["network"]["parameters"]:
        raise ValueError("the modules have %d parameters, not %d" % (parameters, r["network"]["parameters"]))
    x = torch.randn(batch, *layers[0]["output"]).to(device, memory_format=form)
    labels = torch.randint(layers[-1]["output"][0], (batch,)).to(device)
    keywords = {"fused": True} if "graph" in options else {}
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=0.0005, **keywords)
    loss = nn.CrossEntropyLoss()

    def train():
        optimiser.zero_grad()
        loss(net(x), labels).backward()
        optimiser.step()

    def inference():
        forward = net
        if "frozen" in options:
            forward = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, x)))

        def infer():
            with torch.no_grad():
                forward(x)
        return infer

    answer = {"version": "PyTorch " + torch.__version__}
    for name in r["passes"]:
        net.train(name == "train")
        step = train if name == "train" else inference()
        if "graph" in options:
            step = captured(step)
        answer[name] = rate(step, batch, device, r["seconds"])
    return answer


for line in sys.stdin:
    try:
        answer = measure(json.loads(line))
    except Exception as e:  # the next request may succeed
        answer = {"error": "%s: %s" % (type(e).__name__, (str(e).splitlines() or [""])[0])}
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    print(json.dumps(answer), flush=True)
