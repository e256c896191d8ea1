#!/usr/bin/python3
"""Writes the folder fit: images as PIL makes squares of them.

A file's name tells how: the fit, WxH of the image, which is a formula, the pixels a side of the square, and its mode,
RGB or L. Debian 12: python3-pil
"""
import os
from PIL import Image

os.chdir(os.path.dirname(os.path.abspath(__file__)))
os.makedirs("fit", exist_ok=True)
for w, h, size in [(300, 201, 32), (45, 128, 48), (20, 20, 20), (9, 14, 24), (21, 20, 20), (64, 3, 17), (1, 2, 5)]:
    colour = Image.new("RGB", (w, h))
    colour.putdata([tuple((3 * x * x + 5 * y * y + x * y + 85 * c) // 8 % 256 for c in range(3))
                    for y in range(h) for x in range(w)])
    for mode in "RGB", "L":
        image = colour.convert(mode)
        short, long = min(w, h), max(w, h)
        x, y = (w - short) // 2, (h - short) // 2
        crop = image.crop((x, y, x + short, y + short)).resize((size, size), Image.BICUBIC)
        stretch = image.resize((size, size), Image.BICUBIC)
        canvas = Image.new(mode, (long, long))
        # towards zero, as the place in the middle is rounded
        canvas.paste(image, ((long - w) // 2, (long - h) // 2))
        pad = canvas.resize((size, size), Image.BICUBIC)
        shorter = int(round(size * 256 / 224))
        to = (shorter, int(shorter * h / w)) if w < h else (int(shorter * w / h), shorter)
        left, top = int(round((to[0] - size) / 2.0)), int(round((to[1] - size) / 2.0))
        imagenet = image.resize(to, Image.BILINEAR).crop((left, top, left + size, top + size))
        for name, out in ("crop", crop), ("stretch", stretch), ("pad", pad), ("imagenet", imagenet):
            out.save(f"fit/{name}-{w}x{h}-{size}-{mode}.png", optimize=True)
