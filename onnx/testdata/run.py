#!/usr/bin/python3
"""Runs an ONNX model with OpenCV on the CPU, as run.mjs does with ONNX Runtime:

    run.py MODEL.onnx INPUT LOGITS SIZE BATCH
"""
import sys

import cv2
import numpy

model, source, logits, size, batch = sys.argv[1:4] + [int(n) for n in sys.argv[4:]]
net = cv2.dnn.readNetFromONNX(model)
x = numpy.fromfile(source, dtype="<f4").reshape(-1, 3, size, size)
parts = []
for at in range(0, len(x), batch):
    net.setInput(x[at:at + batch], "input")
    parts.append(net.forward("logits").copy())
numpy.concatenate(parts).astype("<f4").tofile(logits)
