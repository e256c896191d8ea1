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

Bad ones, to be refused: code.pth (runs os.system when unpickled by Python),
module.pth (a whole model), double.pth, half.pth, protocol4.pth, legacy.pth (the
format before PyTorch 1.6), script.pth (TorchScript), expanded.pth (a tensor
larger than its storage), list.pth.

Needs python3-torch 1.13 and python3-numpy. The program and its tests need
neither.
"""
import os
import sys
from collections import OrderedDict

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

    save({"weight": Code()}, "code.pth")
    save(model, "module.pth")
    save({"w": base.double()}, "double.pth")
    save({"w": base.half()}, "half.pth")
    save({"w": base}, "protocol4.pth", pickle_protocol=4)
    save({"w": base}, "legacy.pth", _use_new_zipfile_serialization=False)
    torch.jit.save(torch.jit.script(nn.ReLU()), os.path.join(HERE, "script.pth"))
    save({"w": base[:1].expand(100)[:50]}, "expanded.pth")
    save([base], "list.pth")


if __name__ == "__main__":
    main()
