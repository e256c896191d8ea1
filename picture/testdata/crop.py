#!/usr/bin/python3
"""Writes the folder crop: the middle of images as torchvision's Resize and CenterCrop make it of PIL's.

A file's name tells how: WxH of the image, which is a formula, then the pixels that its shorter side is brought to, then
those of the square that is cut out of the middle. Debian 12: python3-pil
"""
import os
from PIL import Image

os.chdir(os.path.dirname(os.path.abspath(__file__)))
os.makedirs("crop", exist_ok=True)
for w, h, shorter, size in [(300, 201, 37, 32), (45, 128, 16, 14), (23, 19, 40, 35), (16, 31, 16, 9), (9, 128, 12, 12),
                            (32, 32, 48, 8)]:
    part = Image.new("RGB", (w, h))
    part.putdata([tuple((3 * x * x + 5 * y * y + x * y + 85 * c) // 8 % 256 for c in range(3))
                  for y in range(h) for x in range(w)])
    to = (shorter, int(shorter * h / w)) if w < h else (int(shorter * w / h), shorter)
    left, top = int(round((to[0] - size) / 2.0)), int(round((to[1] - size) / 2.0))
    out = part.resize(to, Image.BILINEAR).crop((left, top, left + size, top + size))
    out.save(f"crop/{w}x{h}-{shorter}-{size}.png", optimize=True)
