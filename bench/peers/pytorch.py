#!/usr/bin/python3
"""Images a second that PyTorch trains and evaluates NIN with on the CPU: pytorch.py BATCH THREADS. Prints a JSON object."""
import json
import statistics
import sys
import time

import torch
from torch import nn

batch, threads = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(threads)
torch.manual_seed(1)


def conv(c, m, k):
    return [nn.Conv2d(c, m, k, padding=k // 2), nn.ReLU(inplace=True)]


net = nn.Sequential(
    *conv(3, 192, 5), *conv(192, 160, 1), *conv(160, 96, 1), nn.MaxPool2d(3, 2, 1), nn.Dropout(0.5),
    *conv(96, 192, 5), *conv(192, 192, 1), *conv(192, 192, 1), nn.AvgPool2d(3, 2, 1), nn.Dropout(0.5),
    *conv(192, 192, 3), *conv(192, 192, 1), *conv(192, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
)
x, labels = torch.randn(batch, 3, 32, 32), torch.randint(10, (batch,))
optimiser = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=0.0005)
loss = nn.CrossEntropyLoss()


def train():
    net.train()
    optimiser.zero_grad()
    loss(net(x), labels).backward()
    optimiser.step()


def infer():
    net.eval()
    with torch.no_grad():
        net(x)


def rate(step):
    for _ in range(2):
        step()
    rates, begun = [], time.perf_counter()
    while len(rates) < 3 or time.perf_counter() - begun < 5:
        start = time.perf_counter()
        step()
        rates.append(batch / (time.perf_counter() - start))
    return statistics.median(rates)


print(json.dumps({"version": "PyTorch " + torch.__version__, "train": rate(train), "infer": rate(infer)}))
