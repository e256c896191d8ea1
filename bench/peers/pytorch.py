#!/usr/bin/env python3
"""Images a second that PyTorch trains and evaluates networks with.

A server for run.py: it reads a request a line from stdin, and answers each by a line on stdout.

A request is a JSON object: network (as `ninvk models NAME --json` prints it), batch, device (cpu, cuda or mps),
threads, seconds (for each of training and inference), passes (train, infer), and options, of which these are known:

  channels_last   activations and weights in memory as NHWC
  flush_denormal  denormal numbers count as zero (CPU)
  graph           a step is captured as a CUDA graph and replayed
  tf32            convolutions and products may round to TF32, as PyTorch's default has it for convolutions
"""
import json
import statistics
import sys
import time

import torch
from torch import nn


def conv(a):
    layers = [nn.Conv2d(a["in_channels"], a["out_channels"], a["kernel"], a["stride"], a["padding"])]
    return layers + [nn.ReLU(inplace=True)] * a["relu"]


def batch_norm(a, channels):
    return [nn.BatchNorm2d(channels, a["eps"], a["momentum"])] + [nn.ReLU(inplace=True)] * a["relu"]


# The modules of a layer, by the kind that ninvk calls it, from its attributes and output shape.
KINDS = {
    "Conv": lambda a, out: conv(a),
    "BatchNorm": lambda a, out: batch_norm(a, out[0]),
    "ReLU": lambda a, out: [nn.ReLU()],
    "MaxPool": lambda a, out: [nn.MaxPool2d(a["kernel"], a["stride"], a["padding"], ceil_mode=a["ceil_mode"])],
    "AvgPool": lambda a, out: [nn.AvgPool2d(a["kernel"], a["stride"], a["padding"])],
    "GlobalAvgPool": lambda a, out: [nn.AdaptiveAvgPool2d(1)],
    "Dropout": lambda a, out: [nn.Dropout(a["p"])],
}


class Net(nn.Module):
    """A network from the list of its layers."""

    def __init__(self, layers):
        super().__init__()
        self.plan, self.steps = [], nn.ModuleList()
        for layer in layers[1:]:
            step = None
            if layer["kind"] in KINDS:
                step = nn.Sequential(*KINDS[layer["kind"]](layer.get("attributes"), layer["output"]))
            elif layer["kind"] != "Add":
                raise ValueError("no module is known for a layer of kind " + layer["kind"])
            self.plan.append((layer["name"], layer["inputs"], step))
            self.steps.append(step or nn.Identity())
        self.first = layers[0]["name"]

    def forward(self, x):
        values = {self.first: x}
        for name, inputs, step in self.plan:
            got = [values[i] for i in inputs]
            x = values[name] = step(got[0]) if step is not None else sum(got[1:], got[0])
        return x.flatten(1)


def wait(device):
    if device != "cpu":
        getattr(torch, device).synchronize()


def rate(step, batch, device, seconds):
    """Median images a second of samples that take a tenth of the time each, or a step."""
    for _ in range(3):
        step()
    wait(device)
    start = time.perf_counter()
    step()
    wait(device)
    steps = max(1, int(seconds / 10 / (time.perf_counter() - start)))
    rates, begun = [], time.perf_counter()
    while len(rates) < 3 or time.perf_counter() - begun < seconds:
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
    x = torch.randn(batch, *layers[0]["output"]).to(device, memory_format=form)
    labels = torch.randint(layers[-1]["output"][0], (batch,)).to(device)
    keywords = {"fused": True} if "graph" in options else {}
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=0.0005, **keywords)
    loss = nn.CrossEntropyLoss()

    def train():
        optimiser.zero_grad()
        loss(net(x), labels).backward()
        optimiser.step()

    def infer():
        with torch.no_grad():
            net(x)

    answer = {"version": "PyTorch " + torch.__version__}
    for name in r["passes"]:
        net.train(name == "train")
        step = {"train": train, "infer": infer}[name]
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
