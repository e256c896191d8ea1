#!/usr/bin/env python3
"""Writes small sets beside this file, laid out as the published ones, and what torchvision reads in them.

    /usr/bin/python3 make.py

    cifar-100-binary           CIFAR-100's binary version, 3 images to train, 2 to test with
    cifar-100-python           the same as pickles, as Python 2 wrote the published ones
    cifar-10-batches-py        CIFAR-10's pickles, two batches to train
    python3, python3-protocol4, latin1
                               CIFAR-10's pickles written anew by Python 3: protocol 3 with keys of bytes, protocol 4
                               with keys of text and labels in an array, protocol 2 with bytes as text in Latin-1
    golden.json                by folder: labels and SHA-256 of the pixels of both splits, as torchvision has them

Needs python3-torchvision and python3-numpy. The tests don't.
"""
import hashlib, io, json, os, pickle, struct
import numpy as np
from torchvision.datasets import CIFAR10, CIFAR100

HERE = os.path.dirname(os.path.abspath(__file__))


class Python2(pickle._Pickler):
    """Writes bytes and text as the str of Python 2, which it had for both."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_str2(self, obj):
        b = obj if isinstance(obj, bytes) else obj.encode('latin1')
        self.write(b'U' + struct.pack('<B', len(b)) + b if len(b) < 256 else b'T' + struct.pack('<I', len(b)) + b)
        self.memoize(obj)

    dispatch[bytes] = dispatch[str] = save_str2


def python2(value):
    f = io.BytesIO()
    Python2(f, 2).dump(value)
    return f.getvalue()


def pixels(n, seed):
    return np.array([(seed + i * 2654435761 >> 11) % 256 for i in range(n * 3072)], np.uint8).reshape(n, 3072)


def write(name, content):
    path = os.path.join(HERE, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as f:
        f.write(content)


def cifar10(folder, dump, change=lambda batch: batch):
    names = 'airplane automobile bird cat deer dog frog horse ship truck'.split()
    for name, labels, seed in (('data_batch_1', [3, 9], 1), ('data_batch_2', [0], 2), ('test_batch', [7, 1], 3)):
        n = len(labels)
        write(f'{folder}/{name}', dump(change({
            'batch_label': f'batch {name}', 'labels': labels, 'data': pixels(n, seed),
            'filenames': [f'{names[l]}_s_{i:06}.png' for i, l in enumerate(labels)]})))
    write(f'{folder}/batches.meta', dump({'num_cases_per_batch': 2, 'label_names': names, 'num_vis': 3072}))


fine = [f'fine_{i}' for i in range(6)]
coarse = ['coarse_a', 'coarse_b', 'coarse_c']
for name, labels, seed in (('train', [5, 0, 3], 4), ('test', [2, 4], 5)):
    x = pixels(len(labels), seed)
    write(f'cifar-100-python/{name}', python2({
        'filenames': [f'{fine[l]}_{i}.png' for i, l in enumerate(labels)], 'batch_label': 'one of one',
        'fine_labels': labels, 'coarse_labels': [l // 2 for l in labels], 'data': x}))
    write(f'cifar-100-binary/{name}.bin', b''.join(bytes([l // 2, l]) + x[i].tobytes() for i, l in enumerate(labels)))
write('cifar-100-python/meta', python2({'fine_label_names': fine, 'coarse_label_names': coarse}))
for name, list in (('fine', fine), ('coarse', coarse)):
    write(f'cifar-100-binary/{name}_label_names.txt', ('\n'.join(list) + '\n').encode())

cifar10('cifar-10-batches-py', python2)
cifar10('python3', lambda v: pickle.dumps(v, 3), lambda b: {k.encode(): v for k, v in b.items()})
cifar10('python3-protocol4', lambda v: pickle.dumps(v, 4), lambda b: b | {'labels': np.array(b['labels'])})
cifar10('latin1', lambda v: pickle.dumps(v, 2))


def read(kind, folder, train_list, test_list):
    """What torchvision's class reads in a folder whose files have no published checksums."""
    class Mine(kind):
        base_folder = folder

        def _check_integrity(self):
            return True

        def _load_meta(self):
            pass

    Mine.train_list, Mine.test_list = [(n, '') for n in train_list], [(n, '') for n in test_list]
    out = {}
    for split in ('train', 'test'):
        d = Mine(HERE, train=split == 'train')
        planes = d.data.transpose(0, 3, 1, 2)  # it has them as rows of pixels
        out[split] = {'labels': [int(l) for l in d.targets], 'sha256': hashlib.sha256(planes.tobytes()).hexdigest()}
    return out


golden = {f: read(CIFAR10, f, ['data_batch_1', 'data_batch_2'], ['test_batch'])
          for f in ('cifar-10-batches-py', 'python3-protocol4', 'latin1')}  # it knows no keys of bytes
golden['cifar-100-python'] = read(CIFAR100, 'cifar-100-python', ['train'], ['test'])
with open(os.path.join(HERE, 'golden.json'), 'w') as f:
    json.dump(golden, f, indent=1)
    f.write('\n')
