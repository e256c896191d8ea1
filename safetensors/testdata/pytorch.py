#!/usr/bin/env python3
"""Weights between ninvk and PyTorch as safetensors, bit for bit.

    python3 pytorch.py make
        writes pytorch.safetensors beside this file, a state_dict of PyTorch
        laid out as the safetensors library's save_file does, and pytorch.json:
        name, dtype, shape and hexadecimal bits of each tensor
    python3 pytorch.py check FILE.safetensors MODEL OUT.pth
        loads weights that ninvk wrote into PyTorch's own nin, nin-bn or
        nin-imagenet, with strict names and shapes, compares every bit with the
        file, and saves the state_dict by torch.save

Needs python3-torch 1.13 and python3-numpy. The program and its tests need
neither.
"""
import json
import os
import struct
import sys

import numpy as np
import torch
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}
NAMES = {v: k for k, v in TYPES.items()}


def to_bytes(t):
    t = t.detach().contiguous()
    numpy = (t.view(torch.int16) if t.dtype == torch.bfloat16 else t).numpy()  # NumPy has no bfloat16
    return numpy.astype(numpy.dtype.newbyteorder("<")).tobytes()


def write(path, state, metadata=None):
    """Writes the format as the safetensors library does: larger types first, then by name; header of whole 8 bytes."""
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name in sorted(state, key=lambda n: (-state[n].element_size(), n)):
        raw = to_bytes(state[name])
        header[name] = {
            "dtype": NAMES[state[name].dtype],
            "shape": list(state[name].shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def read(path):
    with open(path, "rb") as f:
        raw = f.read()
    (n,) = struct.unpack("<Q", raw[:8])
    header, data = json.loads(raw[8 : 8 + n]), raw[8 + n :]
    header.pop("__metadata__", None)
    state = {}
    for name, e in header.items():
        begin, end = e["data_offsets"]
        numpy = np.frombuffer(data[begin:end], dtype={"F32": "<f4", "I64": "<i8"}[e["dtype"]])
        state[name] = torch.from_numpy(numpy.copy()).reshape(e["shape"])
    return state


def odd_floats(t):
    """Overwrites the first values by those that a conversion would lose."""
    bits = [0x80000000, 0x7F800000, 0xFF800000, 0x7FC00001, 0x00000001, 0x807FFFFF, 0x7F7FFFFF, 0x3F800001]
    flat = t.detach().view(-1)
    flat[: len(bits)] = torch.from_numpy(np.array(bits, dtype=np.uint32).view(np.float32).copy())


def small():
    """The state_dict of a network with everything that ours have."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
    model.train()
    model(torch.randn(2, 3, 8, 8))  # running statistics and a count that are not the initial ones
    state = nn.ModuleDict({"classifier": model}).state_dict()
    odd_floats(state["classifier.0.weight"])
    return state


def network(name, classes=10):
    """The layers of ninvk's networks under their names there."""
    layers = []

    def conv(c, m, k, stride=1, pad=0, last=False):
        layers.append(nn.Conv2d(c, m, k, stride, pad))
        if name == "nin-bn":
            layers.append(nn.BatchNorm2d(m))
        if not (last and name == "nin-bn"):
            layers.append(nn.ReLU())
        return m

    def block(c, channels, k, stride=1, pad=0, last=False):
        for i, m in enumerate(channels):
            c = conv(c, m, k if i == 0 else 1, stride if i == 0 else 1, pad if i == 0 else 0,
                     last and i == len(channels) - 1)
        return c

    if name == "nin-imagenet":
        c = block(3, (96, 96, 96), 11, 4)
        for channels, k in (((256,) * 3, 5), ((384,) * 3, 3)):
            layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            c = block(c, channels, k, 1, k // 2)
        layers += [nn.MaxPool2d(3, 2, ceil_mode=True), nn.Dropout()]
        block(c, (1024, 1024, classes), 3, 1, 1, last=True)
    else:
        c = block(3, (192, 160, 96), 5, 1, 2)
        layers += [nn.MaxPool2d(3, 2, 1), nn.Dropout()]
        c = block(c, (192, 192, 192), 5, 1, 2)
        layers += [nn.AvgPool2d(3, 2, 1), nn.Dropout()]
        block(c, (192, 192, classes), 3, 1, 1, last=True)
    layers.append(nn.AdaptiveAvgPool2d(1))
    return nn.ModuleDict({"classifier": nn.Sequential(*layers)})


def make():
    state = small()
    write(os.path.join(HERE, "pytorch.safetensors"), state, {"format": "pt"})
    with open(os.path.join(HERE, "pytorch.json"), "w") as f:
        rows = [{"name": n, "dtype": NAMES[t.dtype], "shape": list(t.shape), "data": to_bytes(t).hex()}
                for n, t in state.items()]
        f.write("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")


def check(path, model, out):
    theirs = read(path)
    net = network(model)
    net.load_state_dict(theirs, strict=True)
    state = net.state_dict()
    assert list(sorted(state)) == sorted(theirs)
    for name, t in state.items():
        assert to_bytes(t) == to_bytes(theirs[name]), name
    torch.save(state, out)
    print(f"{len(state)} tensors of {model} are the same in PyTorch, bit for bit; saved as {out}")


if __name__ == "__main__":
    if sys.argv[1:] == ["make"]:
        make()
    elif len(sys.argv) == 5 and sys.argv[1] == "check":
        check(*sys.argv[2:])
    else:
        sys.exit(__doc__)
