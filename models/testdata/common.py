"""What the scripts beside this file share: weights by a formula, the networks for small images, and training."""
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def pcg(v):
    v = v.astype(np.uint32)
    s = v * np.uint32(747796405) + np.uint32(2891336453)
    w = ((s >> ((s >> np.uint32(28)) + np.uint32(4))) ^ s) * np.uint32(277803737)
    return (w >> np.uint32(22)) ^ w


def fnv1a(text):
    h = 2166136261
    for b in text.encode():
        h = (h ^ b) * 16777619 & 0xFFFFFFFF
    return h


def golden_bits(name, n):
    return pcg(np.arange(n, dtype=np.uint32) + pcg(np.array([fnv1a(name)])))


def golden_uniform(name, n):
    """Values in [-1, 1) from the tensor's name alone; see ref.GoldenInit."""
    return (golden_bits(name, n) >> np.uint32(8)) / 2.0**23 - 1


def network(model, classes=10):
    """nin or nin-bn: the layers in order; a layer's place is its name."""
    bn = model == "nin-bn"
    layers = []

    def conv(c, m, k, relu=True):
        layers.append(nn.Conv2d(c, m, k, padding=k // 2))
        if bn:
            layers.append(nn.BatchNorm2d(m))
        if relu:
            layers.append(nn.ReLU())

    conv(3, 192, 5)
    conv(192, 160, 1)
    conv(160, 96, 1)
    layers.extend([nn.MaxPool2d(3, 2, 1), nn.Dropout(0)])
    conv(96, 192, 5)
    conv(192, 192, 1)
    conv(192, 192, 1)
    layers.extend([nn.AvgPool2d(3, 2, 1), nn.Dropout(0)])
    conv(192, 192, 3)
    conv(192, 192, 1)
    conv(192, classes, 1, relu=not bn)
    layers.append(nn.AvgPool2d(8))
    net = nn.Module()
    net.classifier = nn.Sequential(*layers)
    net.forward = lambda x: net.classifier(x).flatten(1)
    return net


def tensors(net):
    """Yields name, tensor, fan_in (0 in a batch norm) and whether it belongs to the layer that makes the logits."""
    modules = dict(net.named_modules())
    state = net.state_dict()
    logits = list(state)[-1].rsplit(".", 1)[0]
    for name, t in state.items():
        owner = name.rsplit(".", 1)[0]
        weight = modules[owner].weight
        yield name, t, weight[0].numel() if weight.dim() > 1 else 0, owner == logits


def initialise(net, kind, seed, last_scale):
    """Fills a float64 network with values that are exact in float32."""
    generator = torch.Generator().manual_seed(seed)
    for name, t, fan_in, last in tensors(net):
        part = name.rsplit(".", 1)[1]
        if part.startswith("running") or part.startswith("num"):
            continue  # PyTorch's own 0 and 1
        n = t.numel()
        if kind == "golden":
            u = torch.from_numpy(golden_uniform(name, n))
        else:
            u = torch.rand(n, generator=generator, dtype=torch.float64) * 2 - 1
        if part == "bias":
            scale, offset = 0.1, 0.5 if last else 0
        else:
            if not fan_in:
                scale, offset = 0.5, 1
            elif kind == "golden":
                scale, offset = math.sqrt(6 / fan_in), 0
            else:
                scale, offset = math.sqrt(2 / fan_in), 0
                u = torch.randn(n, generator=generator, dtype=torch.float64)
            if last:
                scale, offset = scale * last_scale, offset * last_scale
        values = scale * u + offset
        t.copy_(values.float().reshape(t.shape))


def normalised(pixels):
    """Float64 inputs of uint8 pixels [n, 3, h, w]."""
    x = torch.from_numpy(pixels.astype(np.float64)) / 255
    mean, std = (torch.tensor(v, dtype=torch.float64).view(3, 1, 1) for v in (MEAN, STD))
    return (x - mean) / std


def loss_of(outputs, labels):
    """The mean cross entropy; to that of GoogLeNet's logits those of its other heads are added, times 0.3."""
    if torch.is_tensor(outputs):
        return F.cross_entropy(outputs, labels)
    losses = [F.cross_entropy(z, labels) for z in outputs]
    return losses[0] + 0.3 * sum(losses[1:])


def train(net, x, labels, batch, steps, rate=0.01, after=lambda step: None):
    """Trains by the recipe of golden.py and gives the losses; after is called behind every step with its number."""
    opt = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9, weight_decay=0.0005)
    losses = []
    net.train()
    for i in range(steps):
        part = slice(i * batch, (i + 1) * batch)
        opt.zero_grad()
        loss = loss_of(net(x[part]), labels[part])
        loss.backward()
        opt.step()
        losses.append(loss.item())
        print(f"{loss.dtype} step {i + 1}: {losses[-1]:.6f}", flush=True)
        after(i)
    return losses
