#!/usr/bin/env python3
"""Writes plateau.json: learning rates by PyTorch's ReduceLROnPlateau.

Usage: python3 plateau.py [OUT]        (default: plateau.json beside this file)

Needs python3-torch 1.13. The tests read the JSON alone.
"""
import json
import os
import random
import sys

import torch

random.seed(24)
flat = [2.0] * 40
falling = [2 * 0.9 ** i for i in range(20)]
# Just short of the threshold of one part in 10,000, and just beyond.
creeping = [1 - 0.9e-4 * i for i in range(8)] + [0.99 - 1.1e-4 * i for i in range(8)]
noisy = [2 / (1 + 0.1 * i) + random.random() / 2 for i in range(60)]

cases = []
for schedule, base, losses in [
        ("plateau", 0.1, flat), ("plateau", 0.1, falling), ("plateau:0.5:0", 0.1, flat),
        ("plateau:0.5:2", 0.05, creeping),
        ("plateau:0.3:3", 0.1, noisy), ("plateau:0.1:1", 1.0, noisy), ("plateau:0.1:0", 1e-6, flat)]:
    _, *arguments = schedule.split(":")
    options = dict(factor=float(arguments[0]), patience=int(arguments[1])) if arguments else {}
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, **options)
    rates = []
    for loss in losses:
        rates.append(optimiser.param_groups[0]["lr"])
        scheduler.step(loss)
    cases.append(dict(schedule=schedule, base=base, losses=losses, rates=rates))

out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "plateau.json")
with open(out, "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
