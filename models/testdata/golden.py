#!/usr/bin/env python3
"""Trains nin or nin-bn for a few steps in PyTorch and writes what came out.

The committed goldens beside this file were made from the embedded sample:

    for model in nin nin-bn; do for batch in 8 64; do
        python3 golden.py --data ../../cifar10/sample/train.bin.gz \\
            --model $model --batch $batch --out $model-$batch.json
    done; done

Needs python3-torch 1.13, python3-numpy and libopenblas0-pthread. The program
and its tests need none of them.

The recipe: images in file order, no augmentation, dropout 0, SGD with rate
0.01, momentum 0.9 and weight decay 0.0005 on every parameter, mean cross
entropy. One run is in float64, one in float32, both from the same initial
weights, which are exact in float32.

The JSON holds, beside the arguments:
    losses           float64 run, before each update
    losses_float32   float32 run, for information
    tensors          for each tensor of the state dict, in its order:
        name, shape
        fan_in, last     arguments of ref.GoldenInit
        init_sha256      of the initial values, little-endian float32
        l2               Euclidean norm of the final float64 values
        stride, values   final values at 0, stride, 2 stride, … (10 digits)
        float32_abs, float32_rel
                         distance of the float32 run: greatest, and |a-b|/|b|
    test             with --test-data: loss and accuracy of the final float64
                     weights in evaluation mode
"""
import argparse
import gzip
import hashlib
import json
import math
import os

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from common import initialise, network, normalised, tensors, train


def read_records(path, count):
    """The first records of a .bin or .bin.gz file, or of a folder's data_batch_1.bin."""
    if os.path.isdir(path):
        path = os.path.join(path, "data_batch_1.bin")
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as f:
        data = np.frombuffer(f.read(count * 3073), np.uint8)
    if len(data) != count * 3073:
        raise SystemExit(f"{path}: {len(data) / 3073:g} records, {count} are needed")
    data = data.reshape(count, 3073)
    return normalised(data[:, 1:].reshape(count, 3, 32, 32)), torch.from_numpy(data[:, 0].astype(np.int64))


def write_safetensors(path, state, metadata):
    header, blobs, at = {"__metadata__": metadata}, [], 0
    for name, t in state.items():
        t = t if t.dtype == torch.int64 else t.float()
        blob = t.contiguous().numpy().tobytes()
        header[name] = {"dtype": "I64" if t.dtype == torch.int64 else "F32", "shape": list(t.shape),
                        "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + b"".join(blobs))


def sample(t):
    """A stride without a common factor with the size, and at most 256 values."""
    n = t.numel()
    stride = -(-n // 256)
    while math.gcd(stride, n) > 1:
        stride += 1
    return stride, [float(f"{v:.10g}") for v in t.reshape(-1)[::stride].tolist()]


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--data", required=True, help="folder with data_batch_1.bin, or a .bin or .bin.gz file")
    p.add_argument("--test-data", help="the same for evaluation, a file")
    p.add_argument("--test-images", type=int, default=200)
    p.add_argument("--model", choices=["nin", "nin-bn"], required=True)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--steps", type=int, default=10)
    p.add_argument("--init", choices=["golden", "normal"], default="golden",
                   help="golden: ref.GoldenInit; normal: He-normal from PyTorch's generator")
    p.add_argument("--seed", type=int, default=1, help="for --init normal")
    p.add_argument("--last-scale", type=float, default=0.1,
                   help="factor on the initial weight of the layer that makes the logits; ref.GoldenInit has 0.1")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--out", help="JSON file")
    p.add_argument("--init-out", help="initial weights as safetensors")
    p.add_argument("--weights-out", help="final float64 weights, rounded to float32, as safetensors")
    a = p.parse_args()
    torch.set_num_threads(a.threads)

    net = network(a.model).double()
    with torch.no_grad():
        initialise(net, a.init, a.seed, a.last_scale)
    initial = {k: v.clone() for k, v in net.state_dict().items()}
    if a.init_out:
        write_safetensors(a.init_out, initial, {"model": a.model})
    single = network(a.model)
    single.load_state_dict(initial)

    x, labels = read_records(a.data, a.batch * a.steps)
    losses = train(net, x, labels, a.batch, a.steps)
    losses32 = train(single, x.float(), labels, a.batch, a.steps)
    final, final32 = net.state_dict(), single.state_dict()
    if a.weights_out:
        write_safetensors(a.weights_out, final, {"model": a.model})

    result = {"model": a.model, "batch": a.batch, "steps": a.steps, "init": a.init,
              "losses": losses, "losses_float32": losses32, "tensors": []}
    for name, t, fan_in, last in tensors(net):
        entry = {"name": name, "shape": list(t.shape), "fan_in": fan_in, "last": last}
        if t.dtype != torch.int64:
            entry["init_sha256"] = hashlib.sha256(initial[name].float().numpy().tobytes()).hexdigest()
        t = final[name].double()
        away = final32[name].double() - t
        entry["l2"] = t.norm().item()
        entry["float32_abs"] = float(f"{away.abs().max().item():.3g}")
        entry["float32_rel"] = float(f"{(away.norm() / t.norm()).item():.3g}")
        entry["stride"], entry["values"] = sample(t)
        result["tensors"].append(entry)
    if a.test_data:
        x, labels = read_records(a.test_data, a.test_images)
        net.eval()
        with torch.no_grad():
            z = torch.cat([net(part) for part in x.split(50)])
        result["test"] = {"images": a.test_images, "loss": F.cross_entropy(z, labels).item(),
                          "accuracy": (z.argmax(1) == labels).double().mean().item()}
    worst = max(abs(s - d) / abs(d) for s, d in zip(losses32, losses))
    print(f"float32 against float64: losses {worst:.2g} relative, weights "
          f"{max(t['float32_abs'] for t in result['tensors']):.2g} absolute, "
          f"{max(t['float32_rel'] for t in result['tensors']):.2g} relative in norm")
    if a.out:
        with open(a.out, "w") as f:
            rows = [json.dumps(t, separators=(",", ":")) for t in result.pop("tensors")]
            text = json.dumps(result, separators=(",", ":"))
            f.write(text[:-1] + ',"tensors":[\n' + ",\n".join(rows) + "\n]}\n")


main()
