#!/usr/bin/env python3
"""Writes the checkpoints beside this file, by torch.save.

    python3 make.py

Good ones come with what must be read from them, in safetensors format:

    state.pth        a state_dict                      state.safetensors
    checkpoint.pth   one under "state_dict", beside an optimiser's state,
                     numbers, strings and lists        state.safetensors
    parameters.pth   named parameters, not detached    parameters.safetensors
    views.pth        views: transposed, channels last, sliced, of one storage,
                     scalar, empty                     views.safetensors
    types.pth        every type of elements            types.safetensors
    module.pth       a whole model                     module.safetensors

state.safetensors is also what these hold: protocol3.pth to protocol5.pth and
stream-protocol3.pth to stream-protocol5.pth (other protocols of pickles),
hyper*.pth (beside NumPy's scalars and arrays, an argparse.Namespace, sets,
dates and more), flat.pth (numbers among the tensors), code-beside.pth (runs
os.system when unpickled by Python), python2.pth (as Python 2 pickled),
without-checksums.pth (as PyTorch 2.6 can write), list.pth. The others of the
formats before PyTorch 1.6 are stream.pth (views), module-stream.pth,
types-stream.pth and tar.pth. PyTorch itself must read them as well.

Bad ones, to be refused: code.pth, complex.pth, script.pth (TorchScript),
expanded.pth (a tensor larger than its storage), numbers.pth.

Needs python3-torch 1.13 and python3-numpy. The program and its tests need
neither.
"""
import argparse
import collections
import datetime
import io
import pathlib
import pickle
import struct
import tarfile
import types
import os
import sys
from collections import OrderedDict

import numpy
import torch
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "safetensors", "testdata"))
import pytorch  # noqa: E402


def save(value, name, **options):
    torch.save(value, os.path.join(HERE, name), **options)


class Code:
    def __reduce__(self):
        return os.system, ("touch code-was-run",)


class Python2Pickler(pickle._Pickler):
    """Writes str and OrderedDict as Python 2 did."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_str(self, s):
        raw = s.encode()
        short = pickle.SHORT_BINSTRING + bytes([len(raw) % 256])
        self.write((short if len(raw) < 256 else pickle.BINSTRING + struct.pack("<i", len(raw))) + raw)
        self.memoize(s)

    def save_long(self, n):
        if 31 < n.bit_length() < 64:
            self.write(pickle.INT + repr(n).encode() + b"\n")
        else:
            super().save_long(n)

    dispatch[str], dispatch[int] = save_str, save_long

    def reducer_override(self, x):
        if type(x) is OrderedDict:
            return OrderedDict, ([[k, v] for k, v in x.items()],)
        return NotImplemented


PYTHON2 = types.SimpleNamespace(__name__="python2", Pickler=Python2Pickler, dumps=pickle.dumps,
                                dump=lambda x, f, protocol: Python2Pickler(f, protocol).dump(x))


def same(name, state, find=lambda x: x):
    """Asserts that PyTorch reads state from a file."""
    got = find(torch.load(os.path.join(HERE, name)))
    assert list(got) == list(state), name
    for k in state:
        assert got[k].dtype == state[k].dtype, (name, k)
        assert torch.equal(torch.nan_to_num(got[k]), torch.nan_to_num(state[k])), (name, k)


def write_tar(name, state, parts):
    """The format before PyTorch 0.1.10. parts are views of a part of another's storage: {name: (whole, first)}."""
    classes = {torch.float32: torch.FloatStorage, torch.float16: torch.HalfStorage, torch.int64: torch.LongStorage}
    wholes = [k for k in state if k not in parts]
    number = {k: 1000 + i for i, k in enumerate(state)}
    dump = lambda x: pickle.dumps(x, protocol=2)  # noqa: E731
    storages = dump(len(wholes))
    for k in wholes:
        raw = state[k].storage()
        storages += dump((number[k], "cpu", classes[state[k].dtype])) + struct.pack("<q", len(raw))
        storages += pytorch.to_bytes(torch.tensor(list(raw), dtype=state[k].dtype))
    storages += dump([(number[k], number[whole], first, state[k].numel()) for k, (whole, first) in parts.items()])
    tensors = dump(len(state))
    for k, t in state.items():
        tensors += dump((number[k] + 5000, number[k], torch.FloatTensor)) + struct.pack("<ii", t.dim(), 0)
        tensors += struct.pack("<%dq" % (2 * t.dim() + 1), *t.shape, *t.stride(),
                               0 if k in parts else t.storage_offset())
    out = io.BytesIO()
    pickler = pickle.Pickler(out, protocol=2)
    pickler.persistent_id = lambda x: str(number[names[id(x)]] + 5000) if id(x) in names else None
    names = {id(t): k for k, t in state.items()}
    pickler.dump({"epoch": 7, "model": state})
    with tarfile.open(os.path.join(HERE, name), "w:", format=tarfile.PAX_FORMAT) as tar:
        for file, content in (("sys_info", dump({"little_endian": True})), ("pickle", out.getvalue()),
                              ("tensors", tensors), ("storages", storages)):
            info = tarfile.TarInfo(file)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def without_checksums(source, target):
    """Puts 0 in the place of every CRC-32, as torch.serialization.set_crc32_options(False) does."""
    with open(os.path.join(HERE, source), "rb") as f:
        b = bytearray(f.read())
    at, left = struct.unpack("<I", b[-6:-2])[0], struct.unpack("<H", b[-12:-10])[0]
    for _ in range(left):
        flags, = struct.unpack("<H", b[at + 8:at + 10])
        size, = struct.unpack("<I", b[at + 20:at + 24])
        name, extra, comment = struct.unpack("<HHH", b[at + 28:at + 34])
        local, = struct.unpack("<I", b[at + 42:at + 46])
        b[at + 16:at + 20] = b[local + 14:local + 18] = bytes(4)
        if flags & 8:
            end = local + 30 + sum(struct.unpack("<HH", b[local + 26:local + 30])) + size
            assert b[end:end + 4] == b"PK\x07\x08"
            b[end + 4:end + 8] = bytes(4)
        at += 46 + name + extra + comment
    with open(os.path.join(HERE, target), "wb") as f:
        f.write(b)


def main():
    state = pytorch.small()
    save(state, "state.pth")
    pytorch.write(os.path.join(HERE, "state.safetensors"), state)

    model = nn.Linear(3, 2)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    save({
        "epoch": 3, "images": 1 << 40, "negative": -5, "best": 0.5, "name": "é", "done": False, "none": None,
        "history": [1, 70000, (2, 3, 4, 5), ()], "optimizer": optimiser.state_dict(), "state_dict": state,
    }, "checkpoint.pth")

    parameters = dict(model.named_parameters())
    save(parameters, "parameters.pth")
    pytorch.write(os.path.join(HERE, "parameters.safetensors"), parameters)

    base = torch.arange(24, dtype=torch.float32)
    views = OrderedDict(
        whole=base, slice=base[5:9], every_third=base[1::3], matrix=base.view(4, 6), transposed=base.view(4, 6).t(),
        permuted=base.view(2, 3, 4).permute(2, 0, 1), column=base.view(4, 6)[:, 2], corner=base.view(4, 6)[1:3, 2:5],
        channels_last=torch.arange(48, dtype=torch.float32).view(2, 3, 2, 4).to(memory_format=torch.channels_last),
        scalar=torch.tensor(-1.5), empty=torch.empty(0), empty_rows=base.view(4, 6)[2:2], one=base[7:8].view(1, 1, 1),
        count=torch.tensor(-(1 << 62)), counts=torch.arange(6).view(2, 3).t(),
    )
    save(views, "views.pth")
    pytorch.write(os.path.join(HERE, "views.safetensors"), views)

    old = {"_use_new_zipfile_serialization": False}
    save(views, "stream.pth", **old)
    same("stream.pth", views)

    every = OrderedDict((n, torch.arange(-3, 3).to(t)) for n, t in pytorch.TYPES.items() if n not in ("U8", "BOOL"))
    every.update(U8=torch.arange(250, 256).to(torch.uint8), BOOL=torch.tensor([True, False]), half=base.half() / 3,
                 bfloat16=base.bfloat16() / 3)
    save(every, "types.pth")
    pytorch.write(os.path.join(HERE, "types.safetensors"), every)
    save(every, "types-stream.pth", **old)

    whole = nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 2, 3), inner=nn.Sequential(nn.BatchNorm2d(2), nn.ReLU())))
    save(whole, "module.pth")
    save({"net": whole, "epoch": 2}, "module-stream.pth", **old)
    pytorch.write(os.path.join(HERE, "module.safetensors"), whole.state_dict())

    for p in (3, 4, 5):
        save(state, "protocol%d.pth" % p, pickle_protocol=p)
        save(state, "stream-protocol%d.pth" % p, pickle_protocol=p, **old)

    adam = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    adam.step()
    hyper = {
        "epoch": 3, "args": argparse.Namespace(lr=0.1, layers=[1, 2], name="x"), "best": numpy.float64(0.5),
        "history": numpy.arange(5.0), "shape": torch.Size([1, 2]), "optimizer": adam.state_dict(),
        "counts": collections.Counter("aab"), "when": datetime.datetime(2020, 1, 2), "set": {1, 2}, "seed": 2**64 - 1,
        "raw": b"\x00\xff", "complex": 1j, "path": pathlib.PurePosixPath("a/b"), "dtype": torch.float16,
        "default": collections.defaultdict(list, a=[1]), "range": range(3), "slice": slice(1, 2),
        "frozen": frozenset([1]), "text": "é" * 300,
        "rng": torch.get_rng_state()[:8], "model": state, "infinite": float("inf"),
    }
    save(hyper, "hyper.pth")
    save(hyper, "hyper-protocol4.pth", pickle_protocol=4)
    save(hyper, "hyper-stream.pth", **old)
    save(OrderedDict(list(state.items()) + [("epoch", 3), ("history", [0.5])]), "flat.pth")
    save({"hook": Code(), "model": state, "log": Code()}, "code-beside.pth")
    save([4, state, base[:1]], "list.pth")

    save({"arch": "nin", "state_dict": state, "big": 1 << 40}, "python2.pth", pickle_module=PYTHON2, **old)
    same("python2.pth", state, lambda x: x["state_dict"])
    without_checksums("state.pth", "without-checksums.pth")
    same("without-checksums.pth", state)

    tar = OrderedDict(whole=base.clone(), part=base[4:10].clone(), turned=torch.arange(6.0).view(2, 3).t(),
                      count=torch.tensor([5]), half=base.half())
    write_tar("tar.pth", tar, {"part": ("whole", 4)})
    same("tar.pth", tar, lambda x: x["model"])
    pytorch.write(os.path.join(HERE, "tar.safetensors"), tar)

    save({"weight": Code()}, "code.pth")
    save({"w": base * 1j}, "complex.pth")
    torch.jit.save(torch.jit.script(nn.ReLU()), os.path.join(HERE, "script.pth"))
    save({"w": base[:1].expand(100)[:50]}, "expanded.pth")
    save([1, 0.5], "numbers.pth")


if __name__ == "__main__":
    main()
