#!/usr/bin/env python3
"""Runs the networks of torchvision, and a few others, in PyTorch and writes what came out.

The files in the folder ../../golden/zoo, which the program carries, were made by

    python3 zoo.py golden --out ../../golden/zoo
    python3 zoo.py golden --out ../../golden/zoo --model googlenet+aux --threads 1,2

and each of them holds of one network
    tensors          names and shapes of its state dict, for 10 classes
    parameters       their number for 10 and for 1,000 classes
    init             mean, deviation and kurtosis of each tensor as the network's constructor draws it
    logits           in evaluation mode, before and after training
    losses           of three steps of training
    sketches         of each gradient of the first step, or running value after it: its sum, its norm, and sixteen
                     of its values

Weights are drawn by a formula, ref.GoldenInit, and images by another, see images. The recipe is that of golden.py with
dropout 0 and a rate for each network. One run is in float64. How far others in float32 end from it, with oneDNN and
without, stands beside what it gave: of each the greatest distance. They differ in the order of their sums, and with it
in the side of 0 on which they have the few inputs of ReLUs that lie within rounding of it, each of which moves all
gradients before it by as much as a hundredth. GoogLeNet with its auxiliary heads has such an input in inception4d, on
whose side PyTorch by one thread and by two disagree, so that it is run by both.

    python3 zoo.py weights --seed N --out FOLDER MODEL...

saves weights as a network's constructor draws them, with running values of a batch: MODEL.pth, MODEL-stream.pth in the
container of before PyTorch 1.6, and of a DenseNet MODEL-dotted.pth with names as of 2017. MODEL.json has the logits of
the images above in float64, and how far those in float32 are from them.

Needs python3-torch 1.13, python3-torchvision 0.14 and libopenblas0-pthread.
"""
import argparse
import base64
import gzip
import itertools
import json
import os
import re
import time
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import models
from torchvision.models.googlenet import Inception

from common import golden_bits, initialise, network, normalised, train

BATCH, STEPS, SAMPLES = 4, 3, 16


class LeNet5(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.adaptive_avg_pool2d(x, 5).flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class PaddedBlock(nn.Module):
    """A block of two convolutions, to which its input is added by its pixels at a distance and channels of zeros."""

    def __init__(self, c, m, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(c, m, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(m)
        self.conv2 = nn.Conv2d(m, m, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(m)
        self.stride, self.zeros = stride, m - c

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        half = self.zeros // 2
        return F.relu(y + F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, self.zeros - half)))


class ResNet20(nn.Module):
    """The names are those of the weights of akamaster/pytorch_resnet_cifar10."""

    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        for stage, (c, m) in enumerate([(16, 16), (16, 32), (32, 64)], 1):
            blocks = [PaddedBlock(c, m, m // c)] + [PaddedBlock(m, m, 1) for _ in range(2)]
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.linear = nn.Linear(64, classes)
        for m in self.modules():
            if isinstance(m, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(m.weight)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


class NIN(nn.Module):
    """The network of Caffe's model zoo."""

    def __init__(self, classes):
        super().__init__()
        layers = []

        def block(c, m, k, stride, pad, last):
            layers.extend([nn.Conv2d(c, m, k, stride, pad), nn.ReLU(), nn.Conv2d(m, m, 1), nn.ReLU()])
            layers.extend([nn.Conv2d(m, last, 1), nn.ReLU()])

        for c, m, k, stride, pad in [(3, 96, 11, 4, 0), (96, 256, 5, 1, 2), (256, 384, 3, 1, 1)]:
            block(c, m, k, stride, pad, m)
            layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
        layers.append(nn.Dropout(0))
        block(384, 1024, 3, 1, 1, classes)
        self.classifier = nn.Sequential(*layers)

    def forward(self, x):
        return self.classifier(x).mean((2, 3))


class OneInception(nn.Module):
    """GoogLeNet with inception4a alone, and the auxiliary head on it."""

    def __init__(self, classes):
        super().__init__()
        whole = models.GoogLeNet(classes, init_weights=False, dropout=0, dropout_aux=0)
        for name in "conv1", "maxpool1", "conv2", "conv3", "maxpool2":
            self.add_module(name, getattr(whole, name))
        self.inception4a = Inception(192, 192, 96, 208, 16, 48, 64)
        self.aux1 = whole.aux1
        self.fc = nn.Linear(512, classes)
        for m in self.modules():
            if isinstance(m, (nn.Conv2d, nn.Linear)):
                nn.init.trunc_normal_(m.weight, 0, 0.01, -2, 2)

    def forward(self, x):
        x = self.maxpool2(self.conv3(self.conv2(self.maxpool1(self.conv1(x)))))
        x = self.inception4a(x)
        logits = self.fc(x.mean((2, 3)))
        return (logits, self.aux1(x)) if self.training else logits


def googlenet(classes, aux):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return models.GoogLeNet(classes, aux_logits=aux, init_weights=True, dropout=0, dropout_aux=0)


def resnet18_small(classes):
    net = models.resnet18(num_classes=classes)
    net.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    net.maxpool = nn.Identity()
    return net


def densenet(*blocks):
    return lambda classes: models.DenseNet(32, blocks, 64, num_classes=classes)


# The networks by number of classes; the pixels a side of the images that they are run on; the learning rate, a
# power of ten at which float32 runs keep to the float64 run; and what torchvision tells of its own.
NETWORKS = {
    "nin": (lambda n: network("nin", n), 32, 0.01, None),
    "nin-bn": (lambda n: network("nin-bn", n), 32, 0.01, None),
    "nin-imagenet": (NIN, 67, 0.01, None),
    "lenet5": (LeNet5, 32, 0.01, None),
    "alexnet": (lambda n: models.alexnet(num_classes=n, dropout=0), 64, 0.01, models.AlexNet_Weights),
    "vgg16": (lambda n: models.vgg16(num_classes=n, dropout=0), 32, 0.001, models.VGG16_Weights),
    "vgg16-bn": (lambda n: models.vgg16_bn(num_classes=n, dropout=0), 32, 0.0001, models.VGG16_BN_Weights),
    "resnet18": (lambda n: models.resnet18(num_classes=n), 64, 0.01, models.ResNet18_Weights),
    "resnet18-small": (resnet18_small, 32, 0.001, None),
    "resnet20": (ResNet20, 32, 0.01, None),
    "densenet121": (lambda n: models.densenet121(num_classes=n), 64, 0.001, models.DenseNet121_Weights),
    "densenet169": (lambda n: models.densenet169(num_classes=n), 64, 0.001, models.DenseNet169_Weights),
    "densenet201": (lambda n: models.densenet201(num_classes=n), 64, 0.001, models.DenseNet201_Weights),
    "densenet264": (densenet(6, 12, 64, 48), 72, 0.001, None),  # at 64 an input of a ReLU lies within rounding of 0
    "googlenet": (lambda n: googlenet(n, False), 64, 0.0001, models.GoogLeNet_Weights),
    "googlenet+aux": (lambda n: googlenet(n, True), 64, 0.0001, None),
    "densenet-2-2": (densenet(2, 2), 32, 0.01, None),
    "googlenet-4a": (OneInception, 32, 0.01, None),
}


def images(n, size):
    """Pixels [n, 3, size, size] and classes: of each image 4×4 squares in random colours, and noise upon them."""
    squares = golden_bits("squares", n * 3 * 16).reshape(n, 3, 4, 4) >> np.uint32(24)
    at = np.arange(size) * 4 // size
    noise = golden_bits("noise", n * 3 * size * size).reshape(n, 3, size, size) >> np.uint32(24)
    pixels = (3 * squares[:, :, at][:, :, :, at] + noise) // 4
    return pixels.astype(np.uint8), torch.arange(n) * 7 % 10


def run(net, x, labels, rate):
    """Trains, and gives the logits of the first batch before and after, the losses, and by name the gradients of the
    first step and the running values after it."""
    seen = {}

    def first(step):
        if step > 0:
            return
        for name, p in net.named_parameters():
            seen[name] = p.grad.double().clone()
        for name, t in net.named_buffers():
            seen[name] = t.double().clone()

    def logits():
        net.eval()
        with torch.no_grad():
            return net(x[:BATCH]).double()

    before = logits()
    losses = train(net, x, labels, BATCH, STEPS, rate, first)
    return before, logits(), losses, seen


def packed(rows):
    """Little-endian float32, in base64."""
    return base64.b64encode(np.array(rows, "<f4").tobytes()).decode()


def moments(t):
    t = t.double()
    deviation = t.std(unbiased=False).item()
    kurtosis = ((t - t.mean()) ** 4).mean().item() / deviation**4 if deviation > 0 else 0
    return t.mean().item(), deviation, kurtosis


def golden(model, out, numbers):
    make, size, rate, published = NETWORKS[model]
    torch.manual_seed(1)
    net = make(10)
    result = {"model": model.split("+")[0], "size": size, "batch": BATCH, "rate": rate}
    result["aux"] = 0.3 if getattr(net, "aux1", None) else 0
    result["tensors"] = [[name, list(t.shape)] for name, t in net.state_dict().items()]
    result["init"] = packed([moments(t) for t in net.state_dict().values()])

    counts = [sum(p.numel() for p in n.parameters()) for n in (net, make(1000))]
    told = published.IMAGENET1K_V1.meta["num_params"] if published else counts[1]
    if counts[1] != told:
        raise SystemExit(f"{model} has {counts[1]} parameters, torchvision tells of {told}")
    result["parameters"] = {"10": counts[0], "1000": counts[1]}

    pixels, labels = images(BATCH * STEPS, size)
    x = normalised(pixels)
    net = net.double()
    with torch.no_grad():
        initialise(net, "golden", 0, 0.1)
    start = {name: t.float() if t.is_floating_point() else t.clone() for name, t in net.state_dict().items()}
    before, after, losses, seen = run(net, x, labels, rate)
    far = {name: [0, 0] for name in seen}
    far_before = far_after = 0
    far_losses = [0] * STEPS
    for onednn, threads in itertools.product((True, False), numbers):
        net = make(10)
        net.load_state_dict(start)
        torch.set_num_threads(threads)
        with torch.backends.mkldnn.flags(enabled=onednn):
            b, a, l, s = run(net, x.float(), labels, rate)
        far_before = max(far_before, (b - before).norm().item())
        far_after = max(far_after, (a - after).norm().item())
        far_losses = [max(f, abs(p - q)) for f, p, q in zip(far_losses, l, losses)]
        for name, t in s.items():
            away = t - seen[name]
            far[name] = [max(far[name][0], away.abs().max().item()), max(far[name][1], away.norm().item())]
    result["losses"], result["losses_away"] = losses, far_losses
    result["logits"] = [before.flatten().tolist(), after.flatten().tolist()]
    result["logits_away"] = [far_before, far_after]
    rows = []
    for name in net.state_dict():
        t = seen[name].flatten()
        at = torch.from_numpy(golden_bits(name, SAMPLES).astype(np.int64) % t.numel())
        rows.append([t.sum().item(), t.norm().item(), *far[name], *t[at].tolist()])
    result["sketches"] = packed(rows)
    os.makedirs(out, exist_ok=True)
    with gzip.GzipFile(os.path.join(out, model + ".json.gz"), "wb", mtime=0) as f:
        f.write(json.dumps(result, separators=(",", ":")).encode())
    norms = {name: t.norm().item() for name, t in seen.items()}
    shares = sorted(far[name][1] / norms[name] for name in far if norms[name] > 1e-12)
    print(f"{model}: float32 is away from float64:"
          f" logits {far_before / before.norm():.1e}, {far_after / after.norm():.1e};"
          f" losses {max(f / l for f, l in zip(far_losses, losses)):.1e}; gradients and running values"
          f" {shares[len(shares) // 2]:.1e} in the middle, {shares[-1]:.1e} at most")


def weights(model, seed, out):
    make, size, _, _ = NETWORKS[model]
    torch.manual_seed(seed)
    net = make(10)
    x = normalised(images(BATCH, size)[0])
    momenta = {m: m.momentum for m in net.modules() if isinstance(m, nn.BatchNorm2d)}
    for m in momenta:
        m.momentum = 1
    with torch.no_grad():
        net.train()(x.float())  # for running values that keep the activations' size
    for m, momentum in momenta.items():
        m.momentum = momentum
    state = net.state_dict()
    path = os.path.join(out, model)
    torch.save(state, path + ".pth")
    torch.save(state, path + "-stream.pth", _use_new_zipfile_serialization=False)
    if model.startswith("densenet"):
        old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12]\.)", r"\1.\2", n): t for n, t in state.items()}
        old = {n: t for n, t in old.items() if not n.endswith("num_batches_tracked")}
        torch.save(old, path + "-dotted.pth", _use_new_zipfile_serialization=False)
    net.eval()
    with torch.no_grad():
        single = net(x.float())
        logits = net.double()(x)
    with open(path + ".json", "w") as f:
        json.dump({"logits": logits.flatten().tolist(), "away": (single - logits).norm().item()}, f)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = p.add_subparsers(dest="command", required=True)
    g = commands.add_parser("golden")
    g.add_argument("--model", choices=NETWORKS, help="one alone")
    g.add_argument("--threads", default="1", help="of the float32 runs, a number or several")
    g.add_argument("--out", required=True, help="folder")
    w = commands.add_parser("weights")
    w.add_argument("models", nargs="+", choices=NETWORKS, metavar="MODEL")
    w.add_argument("--seed", type=int, required=True)
    w.add_argument("--out", required=True, help="folder")
    a = p.parse_args()
    torch.set_num_threads(1)
    if a.command == "weights":
        for model in a.models:
            weights(model, a.seed, a.out)
    if a.command == "golden":
        for model in [a.model] if a.model else NETWORKS:
            began = time.time()
            golden(model, a.out, [int(n) for n in a.threads.split(",")])
            print(f"{time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
