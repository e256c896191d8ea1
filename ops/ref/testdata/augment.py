#!/usr/bin/python3
"""Writes augment.json: parts of images resized, and colours changed, by Pillow.

Usage: python3 augment.py [OUT]        (default: augment.json beside this file)

Images are a formula, so that only what comes of them is stored: value of channel c at (x, y) is
(3·x² + 5·y² + x·y + 85·c) / 8 mod 256, without the fraction. Pixels are CHW in base64. Debian 12: python3-pil
"""
import base64
import json
import os
import sys

from PIL import Image, ImageEnhance


def image(channels, w, h):
    """One channel or three."""
    planes = []
    for c in range(channels):
        plane = Image.new("L", (w, h))
        plane.putdata([(3 * x * x + 5 * y * y + x * y + 85 * c) // 8 % 256 for y in range(h) for x in range(w)])
        planes.append(plane)
    return planes[0] if channels == 1 else Image.merge("RGB", planes)


def pixels(img):
    return base64.b64encode(b"".join(p.tobytes() for p in img.split())).decode()


def resize(channels, w, h, out, box=None):
    box = box or (0, 0, w, h)
    made = image(channels, w, h).resize((out, out), Image.BICUBIC, box=box, reducing_gap=None)
    return dict(C=channels, W=w, H=h, Out=out, Box=box, Pixels=pixels(made))


def enhance(what, channels, factor, size=12):
    made = getattr(ImageEnhance, what)(image(channels, size, size)).enhance(factor)
    return dict(What=what, C=channels, Size=size, Factor=factor, Pixels=pixels(made))


golden = {
    "resize": [
        resize(3, 32, 32, 16), resize(3, 32, 32, 24), resize(3, 32, 32, 31), resize(3, 33, 33, 32),
        resize(1, 28, 28, 14),
        resize(1, 31, 31, 15), resize(3, 50, 37, 20), resize(3, 64, 64, 7), resize(1, 100, 80, 1),
        resize(1, 12, 60, 24),
        resize(1, 60, 12, 24), resize(3, 37, 53, 19, (3.25, 1.5, 30.75, 40.125)), resize(1, 45, 41, 16, (7, 3, 45, 30)),
        resize(3, 21, 19, 24, (2.5, 3.75, 13.25, 12)), resize(1, 40, 40, 16, (5, 9, 21, 25)),
        resize(1, 40, 40, 16, (5.5, 9, 21.5, 25)), resize(1, 200, 3, 9), resize(3, 256, 256, 12, (20, 31, 180, 230)),
    ],
    "enhance": [enhance(what, 3, f) for what in ("Brightness", "Contrast", "Color") for f in (0.6, 0.83, 1, 1.27, 1.4)]
    + [enhance(what, 1, f) for what in ("Brightness", "Contrast") for f in (0.6, 1.33)],
}

path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "augment.json")
with open(path, "w") as f:
    f.write("{\n")
    for i, (name, cases) in enumerate(golden.items()):
        f.write(f' "{name}": [\n')
        f.write(",\n".join("  " + json.dumps(c, separators=(",", ":")) for c in cases))
        f.write("\n ]" + (",\n" if i < len(golden) - 1 else "\n"))
    f.write("}\n")
