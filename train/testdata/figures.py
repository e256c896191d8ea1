#!/usr/bin/env python3
"""Writes figures.json: precision, recall and F1 of confusion matrices.

Usage: python3 figures.py [OUT]        (default: figures.json beside this file)

The figures are scikit-learn's precision_recall_fscore_support with
zero_division=0, written out so that nothing but Python is needed, and in exact
fractions. What can't be told of a class is null.
"""
import json
import os
import random
import sys
from fractions import Fraction

random.seed(8)


def figures(m):
    n = len(m)
    rows, columns = [sum(r) for r in m], [sum(r[k] for r in m) for k in range(n)]
    classes = []
    for k in range(n):
        right = m[k][k]
        classes.append([Fraction(right, columns[k]) if columns[k] else None,
                        Fraction(right, rows[k]) if rows[k] else None,
                        Fraction(2 * right, rows[k] + columns[k]) if rows[k] + columns[k] else None])
    occur = [k for k in range(n) if rows[k] + columns[k]]
    total = sum(rows)
    mean = lambda weights: [sum(w * (classes[k][i] or 0) for k, w in weights) for i in range(3)]
    number = lambda v: None if v is None else float(v)
    return dict(matrix=m, classes=[[number(v) for v in c] for c in classes],
                macro=[number(v) for v in mean([(k, Fraction(1, len(occur))) for k in occur])],
                weighted=[number(v) for v in mean([(k, Fraction(rows[k], total)) for k in range(n)])])


matrices = [
    [[3, 1], [2, 4]],
    [[5, 0, 0], [3, 0, 1], [0, 0, 2]],             # one is never said rightly
    [[4, 1, 0, 0], [0, 0, 0, 0], [2, 3, 5, 0], [0, 0, 0, 0]],  # one has no images, one does not occur
    [[0, 4], [6, 0]],
    [[random.choice([0, 0, 1, 2, 30 if i == j else 3]) for j in range(12)] for i in range(12)],
]
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "figures.json")
with open(out, "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(figures(m)) for m in matrices) + "\n]\n")
