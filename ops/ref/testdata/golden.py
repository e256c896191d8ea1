#!/usr/bin/env python3
"""Writes golden.json: operators computed by PyTorch in float64.

Usage: python3 golden.py [OUT]        (default: golden.json beside this file)

Needs python3-torch 1.13, python3-numpy and python3-pil. The program and its
tests need none of them: they read the JSON. Inputs are multiples of 1/16,
exact in float32 too, so the shaders can be held to the same file; outputs are
printed with all their digits. Tensors are flat and row-major.
"""
import base64
import json
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

torch.set_num_threads(1)
random = np.random.RandomState(20131216)


def inputs(*shape):
    """Multiples of 1/16 in [-2, 2]: ties happen, so their rule is tested."""
    return torch.tensor(random.randint(-32, 33, shape) / 16, dtype=torch.float64)


def flat(t):
    return [int(v) if float(v).is_integer() else float(v) for v in t.detach().reshape(-1).tolist()]


def leaf(t):
    return t.clone().requires_grad_()


def conv(n, c, h, w, m, k, stride, pad, bias=True):
    x, wt = leaf(inputs(n, c, h, w)), leaf(inputs(m, c, k, k))
    b = leaf(inputs(m)) if bias else None
    y = F.conv2d(x, wt, b, stride, pad)
    dy = inputs(*y.shape)
    y.backward(dy)
    return dict(N=n, C=c, H=h, W=w, M=m, K=k, Stride=stride, Pad=pad, x=flat(x), weight=flat(wt),
                bias=flat(b) if bias else None, y=flat(y), dy=flat(dy), dx=flat(x.grad), dweight=flat(wt.grad),
                dbias=flat(b.grad) if bias else None)


def relu(n):
    x = leaf(inputs(n))
    y = F.relu(x)
    dy = inputs(n)
    y.backward(dy)
    return dict(x=flat(x), y=flat(y), dy=flat(dy), dx=flat(x.grad))


def pool(kind, n, c, h, w, k, stride, pad):
    x = leaf(inputs(n, c, h, w))
    f = F.max_pool2d if kind == "max" else F.avg_pool2d
    y = f(x, k, stride, pad)
    dy = inputs(*y.shape)
    y.backward(dy)
    return dict(kind=kind, N=n, C=c, H=h, W=w, K=k, Stride=stride, Pad=pad,
                x=flat(x), y=flat(y), dy=flat(dy), dx=flat(x.grad))


def global_pool(n, c, h, w):
    x = leaf(inputs(n, c, h, w))
    y = F.adaptive_avg_pool2d(x, 1)
    dy = inputs(*y.shape)
    y.backward(dy)
    return dict(N=n, C=c, H=h, W=w, x=flat(x), y=flat(y), dy=flat(dy), dx=flat(x.grad))


def batch_norm(n, c, h, w, eps, momentum):
    """Two training batches one after the other, then evaluation of the second."""
    bn = torch.nn.BatchNorm2d(c, eps, momentum).double()
    with torch.no_grad():
        bn.weight.copy_(inputs(c))
        bn.bias.copy_(inputs(c))
        bn.running_mean.copy_(inputs(c))
        bn.running_var.copy_(inputs(c).abs() + 0.5)
    case = dict(N=n, C=c, HW=h * w, Eps=eps, Momentum=momentum, gamma=flat(bn.weight), beta=flat(bn.bias),
                runMean=flat(bn.running_mean), runVar=flat(bn.running_var), steps=[])
    for shift in (0, 1.5):
        x = leaf(inputs(n, c, h, w) + shift)
        bn.zero_grad()
        y = bn(x)
        dy = inputs(*y.shape)
        y.backward(dy)
        case["steps"].append(dict(x=flat(x), y=flat(y), dy=flat(dy), dx=flat(x.grad), dgamma=flat(bn.weight.grad),
                                  dbeta=flat(bn.bias.grad), runMean=flat(bn.running_mean),
                                  runVar=flat(bn.running_var)))
    x = leaf(x.detach())
    y = bn.eval()(x)
    y.backward(dy)
    case["evalY"], case["evalDx"] = flat(y), flat(x.grad)
    return case


def cross_entropy(n, classes, smoothing, scale=1):
    z = leaf(inputs(n, classes) * scale)
    labels = torch.tensor(random.randint(0, classes, n))
    losses = F.cross_entropy(z, labels, label_smoothing=smoothing, reduction="none")
    F.cross_entropy(z, labels, label_smoothing=smoothing).backward()
    return dict(n=n, classes=classes, smoothing=smoothing, logits=flat(z), labels=labels.tolist(),
                losses=flat(losses), dlogits=flat(z.grad),
                places=(z.sort(descending=True, stable=True).indices == labels[:, None]).nonzero()[:, 1].tolist())


def class_weights(n, classes, smoothing):
    """The weighted mean; a class of weight 0 among them."""
    z = leaf(inputs(n, classes))
    labels = torch.tensor(random.randint(0, classes, n))
    weights = torch.tensor(random.randint(0, 33, classes) / 16, dtype=torch.float64)
    weights[0] = 0
    options = dict(weight=weights, label_smoothing=smoothing)
    losses = F.cross_entropy(z, labels, reduction="none", **options)
    loss = F.cross_entropy(z, labels, **options)
    loss.backward()
    return dict(n=n, classes=classes, smoothing=smoothing, weights=flat(weights), logits=flat(z),
                labels=labels.tolist(), losses=flat(losses), loss=float(loss), dlogits=flat(z.grad))


def sgd(lr, momentum, decay, nesterov, steps=10, n=7):
    w = torch.nn.Parameter(inputs(n))
    opt = torch.optim.SGD([w], lr, momentum, weight_decay=decay, nesterov=nesterov)
    case = dict(LR=lr, Momentum=momentum, WeightDecay=decay, Nesterov=nesterov, w=flat(w), steps=[])
    for _ in range(steps):
        w.grad = inputs(n)
        opt.step()
        case["steps"].append(dict(g=flat(w.grad), w=flat(w)))
    return case


def resize(out, stride):
    """Pillow's bicubic enlargement of a picture with slopes, edges and noise."""
    y, x = np.mgrid[0:32, 0:32]
    image = np.stack([x * 8, 255 - y * 6 - x, ((x // 5 + y // 3) % 2) * 255], -1)
    image[12:20, 3:17] = random.randint(0, 256, (8, 14, 3))
    image = image.clip(0, 255).astype(np.uint8)
    big = np.asarray(Image.fromarray(image).resize((out, out), Image.BICUBIC))
    chw = big.transpose(2, 0, 1).reshape(-1)
    return dict(out=out, stride=stride, image=base64.b64encode(image.transpose(2, 0, 1).tobytes()).decode(),
                pixels=base64.b64encode(chw[::stride].tobytes()).decode())


def linear(n, c, h, w, m, bias=True):
    """As networks use it: after flattening."""
    x, wt = leaf(inputs(n, c, h, w)), leaf(inputs(m, c * h * w))
    b = leaf(inputs(m)) if bias else None
    y = F.linear(torch.flatten(x, 1), wt, b)
    dy = inputs(*y.shape)
    y.backward(dy)
    return dict(N=n, In=c * h * w, M=m, x=flat(x), weight=flat(wt), bias=flat(b) if bias else None, y=flat(y),
                dy=flat(dy), dx=flat(x.grad), dweight=flat(wt.grad), dbias=flat(b.grad) if bias else None)


def adaptive_pool(n, c, h, w, oh, ow):
    x = leaf(inputs(n, c, h, w))
    y = F.adaptive_avg_pool2d(x, (oh, ow))
    dy = inputs(*y.shape)
    y.backward(dy)
    return dict(N=n, C=c, H=h, W=w, OH=oh, OW=ow, x=flat(x), y=flat(y), dy=flat(dy), dx=flat(x.grad))


def subsample(n, c, h, w, stride, before, after):
    x = leaf(inputs(n, c, h, w))
    y = F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, before, after))
    dy = inputs(*y.shape)
    y.backward(dy)
    return dict(N=n, C=c, H=h, W=w, Stride=stride, Before=before, After=after,
                x=flat(x), y=flat(y), dy=flat(dy), dx=flat(x.grad))


def heads(n, classes, smoothing, weights):
    """The loss of a network with several heads: the weighted sum of theirs."""
    logits = [leaf(inputs(n, classes)) for _ in weights]
    labels = torch.tensor(random.randint(0, classes, n))
    losses = sum(w * F.cross_entropy(z, labels, label_smoothing=smoothing, reduction="none")
                 for w, z in zip(weights, logits))
    losses.mean().backward()
    return dict(n=n, classes=classes, smoothing=smoothing, weights=weights, logits=[flat(z) for z in logits],
                labels=labels.tolist(), losses=flat(losses), dlogits=[flat(z.grad) for z in logits])


golden = {
    "conv": [
        conv(1, 1, 1, 1, 1, 1, 1, 0),
        conv(1, 3, 1, 1, 5, 1, 1, 0, bias=False),
        conv(1, 5, 1, 1, 3, 3, 1, 1),
        conv(2, 3, 7, 5, 5, 1, 1, 0),
        conv(3, 10, 3, 4, 3, 1, 2, 0),
        conv(2, 1, 7, 5, 3, 3, 1, 1),
        conv(1, 3, 7, 5, 10, 3, 2, 1),
        conv(2, 5, 5, 7, 3, 5, 1, 2, bias=False),
        conv(1, 3, 9, 10, 5, 5, 2, 0),
        conv(2, 3, 11, 9, 1, 3, 4, 0),
        conv(1, 1, 23, 20, 3, 11, 4, 0),
        conv(1, 3, 13, 12, 1, 11, 4, 5),
        conv(1, 1, 32, 32, 1, 5, 1, 2),
    ],
    "relu": [relu(200)],
    "pool": [
        pool("max", 1, 1, 1, 1, 1, 1, 0), pool("avg", 1, 1, 1, 1, 1, 1, 0),
        pool("max", 1, 3, 1, 1, 3, 2, 1), pool("avg", 1, 3, 1, 1, 3, 2, 1),
        pool("max", 2, 3, 7, 5, 3, 2, 1), pool("avg", 2, 3, 7, 5, 3, 2, 1),
        pool("max", 1, 5, 8, 8, 3, 2, 0), pool("avg", 1, 5, 8, 8, 3, 2, 0),
        pool("max", 2, 1, 10, 7, 5, 4, 2), pool("avg", 2, 1, 10, 7, 5, 4, 2),
        pool("max", 1, 10, 5, 6, 2, 2, 1), pool("avg", 1, 10, 5, 6, 2, 2, 1),
        pool("max", 1, 1, 13, 12, 11, 1, 5), pool("avg", 1, 1, 13, 12, 11, 1, 5),
        pool("max", 1, 1, 6, 6, 3, 1, 1), pool("avg", 1, 1, 16, 15, 3, 2, 1),
    ],
    "globalAvgPool": [global_pool(1, 1, 1, 1), global_pool(2, 5, 8, 8), global_pool(3, 5, 7, 5)],
    "batchNorm": [
        batch_norm(2, 1, 1, 1, 1e-5, 0.1),
        batch_norm(1, 3, 7, 5, 1e-5, 0.1),
        batch_norm(3, 5, 3, 3, 1e-3, 0.25),
        batch_norm(5, 10, 1, 1, 1e-5, 0.1),
    ],
    "crossEntropy": [
        cross_entropy(1, 1, 0), cross_entropy(1, 10, 0), cross_entropy(9, 10, 0), cross_entropy(9, 10, 0.1),
        cross_entropy(7, 3, 0.3), cross_entropy(4, 5, 0.1, scale=400), cross_entropy(40, 2, 1),
    ],
    "sgd": [
        sgd(0.01, 0, 0, False), sgd(0.01, 0.9, 0, False), sgd(0.01, 0.9, 0.0005, False),
        sgd(0.1, 0.9, 0.05, True), sgd(10, 0.5, 0.01, False), sgd(0.01, 0, 0.0005, False),
    ],
    "resize": [resize(224, 97), resize(45, 5), resize(32, 3)],
    "linear": [linear(1, 1, 1, 1, 1), linear(3, 7, 1, 1, 5, bias=False), linear(2, 3, 4, 3, 6), linear(5, 2, 3, 1, 2)],
    "adaptivePool": [
        adaptive_pool(1, 1, 1, 1, 6, 6), adaptive_pool(2, 3, 7, 5, 3, 2), adaptive_pool(1, 2, 13, 13, 6, 6),
        adaptive_pool(2, 1, 4, 9, 7, 7), adaptive_pool(1, 3, 6, 5, 1, 1), adaptive_pool(1, 1, 14, 14, 7, 7),
    ],
    "subsample": [subsample(1, 1, 1, 1, 1, 0, 0), subsample(2, 4, 8, 8, 2, 2, 2), subsample(1, 3, 7, 5, 2, 1, 4),
                  subsample(2, 2, 5, 6, 3, 0, 3)],
    "heads": [heads(6, 10, 0, [1, 0.3, 0.3]), heads(5, 4, 0.1, [1, 0.4])],
    "classWeights": [class_weights(7, 5, 0), class_weights(9, 3, 0.1), class_weights(5, 10, 0.3)],
}

path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.json")
with open(path, "w") as f:
    f.write("{\n")
    for i, (name, cases) in enumerate(golden.items()):
        f.write(f' "{name}": [\n')
        f.write(",\n".join("  " + json.dumps(c, separators=(",", ":")) for c in cases))
        f.write("\n ]" + (",\n" if i < len(golden) - 1 else "\n"))
    f.write("}\n")
