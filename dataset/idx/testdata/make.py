#!/usr/bin/env python3
"""Writes the files beside this one, in MNIST's format, and what torchvision reads in them.

    /usr/bin/python3 make.py

    MNIST/raw  12 images of 5×4 pixels to train, 5 to test with, as torchvision lays its folder out: not compressed
    letters    the same under EMNIST's names, compressed by gzip, with labels from 1 on and a mapping
    golden.json  by folder: shape, labels and pixels of both splits, as torchvision's reader has them

Needs python3-torchvision. The tests don't.
"""
import gzip, json, os, struct
from torchvision.datasets import mnist

HERE = os.path.dirname(os.path.abspath(__file__))
SHAPE = (5, 4)


def values(n, seed):
    return bytes((seed + i * 2654435761 >> 11) % 256 for i in range(n))


def images(n, seed):
    return struct.pack('>BBBBIII', 0, 0, 8, 3, n, *SHAPE) + values(n * SHAPE[0] * SHAPE[1], seed)


def labels(list):
    return struct.pack('>BBBBI', 0, 0, 8, 1, len(list)) + bytes(list)


def write(name, content):
    path = os.path.join(HERE, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as f:
        f.write(gzip.compress(content, 9, mtime=0) if name.endswith('.gz') else content)
    raw = path.removesuffix('.gz') + '.raw'  # torchvision's reader takes no others
    with open(raw, 'wb') as f:
        f.write(content)
    read = mnist.read_label_file if 'labels' in name else mnist.read_image_file
    result = read(raw)
    os.remove(raw)
    return result


golden = {}
for folder, form, first in (
    ('MNIST/raw', '{}-{}-ubyte', 0),
    ('letters', 'emnist-letters-{}-{}-ubyte.gz', 1),
):
    golden[folder] = {}
    for split, name, n in (('train', 'train', 12), ('test', 't10k' if first == 0 else 'test', 5)):
        x = write(f'{folder}/' + form.format(name, 'images-idx3'), images(n, n + first))
        y = write(f'{folder}/' + form.format(name, 'labels-idx1'), labels([first + i * 3 % 4 for i in range(n)]))
        golden[folder][split] = {'shape': list(x.shape), 'labels': y.tolist(), 'pixels': x.flatten().tolist()}
with open(os.path.join(HERE, 'letters', 'emnist-letters-mapping.txt'), 'w') as f:
    f.write('1 65 97\n2 66 98\n3 67 99\n4 68 100\n')
with open(os.path.join(HERE, 'golden.json'), 'w') as f:
    json.dump(golden, f)
    f.write('\n')
