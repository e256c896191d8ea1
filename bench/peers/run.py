#!/usr/bin/env python3
"""Compares ninvk's speed with PyTorch's and TensorFlow.js's on the same processor, in one run on one machine.

On an adapter that is a CPU, PyTorch runs on the CPU; on a GPU by CUDA, ROCm or MPS, twice: in float32 throughout, and
as it is by default, where convolutions may round to TF32. TensorFlow.js runs through Dawn on the same driver as ninvk.
Networks are those that `ninvk models` lists, each in every setting: 16@32 is a batch of 16 images of 32×32 pixels, or
of the smallest of 64, 128 and so on that the network takes; 64 is a batch of 64 images of the network's own size.

A peer is measured at its best: PyTorch tries settings, one after the other, and keeps those that make it faster, for
training and for inference by themselves; the file says what each gained. What concerns the whole process is tried by
the first network of a setting, for all others, the rest by each network. A round runs ninvk and the peers one after
the other, so that a busy moment meets all of them; figures are medians over the rounds. First all networks have one
round in all settings, then the next, so that a run that ends early has the more networks.

Every figure is kept as soon as it is there, in bin/peers/run.json, and the file written anew. --resume goes on with
what is missing; on another adapter than before, with a table of its own in the same file.

What is missing is installed first, unless told otherwise: python3-torch by apt-get, the npm packages into bin/peers.
Standard library only.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import sys
import time

import programs
import report
from programs import FOLDER, ROOT, Failed, say

SLOW = 20  # times as long as it was told to measure, after which a peer is left out of further rounds


def main():
    o = options()
    begun = time.monotonic()
    ninvk = programs.Ninvk(o)
    listed = ninvk.models()
    models = [m["model"] for m in listed]
    unknown = [m for m in o.models.split(",") if m and m not in models]
    if unknown:
        sys.exit("unknown models: %s; ninvk has %s" % (", ".join(unknown), ", ".join(models)))
    adapter = ninvk.open(min(listed, key=lambda m: m["multiply_adds"])["model"])
    book = Book(o, adapter)
    usual = ("16@32,4@224", "16@32") if adapter["type"] == "cpu" else ("64", "")
    settings, starts = ([s for s in (default if given is None else given).split(",") if s]
                        for given, default in zip((o.settings, o.starts), usual))
    session = Session(o, book, begun)
    try:
        chosen = [m for m in listed if not o.models or m["model"] in o.models.split(",")]
        for asked in starts:
            for m in chosen:
                session.start(ninvk, Work(ninvk, book.run, m, asked))
        peers = []
        if settings and "pytorch" in o.peers.split(","):
            peers += programs.pytorches(o, adapter, book.note)
        if settings and "tensorflow" in o.peers.split(","):
            peers += programs.tensorflows(o, book.note)
        session.programs = [ninvk] + peers
        works = {}
        for r in range(o.rounds):
            for asked in settings:
                for m in chosen:
                    key = (m["model"], asked)
                    if key not in works:
                        works[key] = Work(ninvk, book.run, m, asked)
                    session.round(works[key], r)
    finally:
        for p in session.programs:
            p.close()
        ninvk.close()
    book.write()
    print(pathlib.Path(o.out).read_text())


def options():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--settings", help="by commas (default: 16@32,4@224 on a CPU, 64 elsewhere)")
    a.add_argument("--starts", help="settings in which the time of a first training step is measured, with the "
                   "driver's cache of kernels empty and full (default: 16@32 on a CPU, none elsewhere)")
    a.add_argument("--models", default="", help="which networks, by commas (default: all)")
    a.add_argument("--rounds", type=int, default=2)
    a.add_argument("--seconds", type=float, default=3, help="of a peer for each figure")
    a.add_argument("--trial", type=float, default=1, help="seconds of PyTorch for each setting that it tries")
    a.add_argument("--threads", type=int, help="of PyTorch on a CPU",
                   default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    a.add_argument("--peers", default="pytorch,tensorflow", help="which to compare with, by commas")
    a.add_argument("--adapter", default=os.environ.get("NINVK_ADAPTER", ""), help="of ninvk, as for its --adapter")
    a.add_argument("--ninvk", default=str(ROOT / "bin" / "ninvk"), help="the program")
    a.add_argument("--no-install", action="store_true", help="use what is here")
    a.add_argument("--limit", type=float, default=600, help="seconds for one measurement of TensorFlow.js")
    a.add_argument("--budget", type=float, default=0,
                   help="seconds after which no further network or round is begun; 0 for no limit")
    a.add_argument("--resume", action="store_true", help="go on with the run before")
    a.add_argument("--state", default=str(FOLDER / "run.json"), help="where a run is kept")
    a.add_argument("--out", default=str(ROOT / "docs" / "results" / "peers.md"))
    o = a.parse_args()
    for s in ((o.settings or "") + "," + (o.starts or "")).split(","):
        if s and not re.fullmatch(r"[1-9]\d*(@[1-9]\d*)?", s):
            a.error("%s is no setting; one is BATCH or BATCH@SIZE, as 16@32" % s)
    return o


class Run:
    """What was measured on one adapter."""

    def __init__(self, adapter, date, notes=(), names=None, common=None, tried=(), starts=(), works=(),
                 load=0):
        self.adapter, self.date, self.load = adapter, date, load
        self.notes, self.tried, self.starts, self.works = list(notes), list(tried), list(starts), list(works)
        self.names = names or {}    # of the programs with their versions, by title
        self.common = common or {}  # settings of PyTorch that serve all networks: title, setting asked for, pass


class Book:
    """The runs of one machine in a file, and the report of them."""

    def __init__(self, o, adapter):
        self.o, self.runs = o, []
        if o.resume and pathlib.Path(o.state).exists():
            self.runs = [Run(**r) for r in json.loads(pathlib.Path(o.state).read_text())]

        def same(run):
            return all(run.adapter[k] == adapter[k] for k in ("name", "driver"))
        if not any(map(same, self.runs)):
            self.runs.append(Run(adapter, datetime.date.today().isoformat()))
        self.run = next(filter(same, self.runs))
        if hasattr(os, "getloadavg"):
            self.run.load = max(self.run.load, os.getloadavg()[0])

    def note(self, text):
        say(text)
        if text not in self.run.notes:
            self.run.notes.append(text)

    def write(self):
        pathlib.Path(self.o.state).parent.mkdir(parents=True, exist_ok=True)
        write(self.o.state, json.dumps([vars(r) for r in self.runs], indent=1))
        write(self.o.out, report.text(processor(), self.runs))


def write(path, text):
    """Writes a file whole, or leaves the old one."""
    temporary = pathlib.Path(path + ".new")
    temporary.write_text(text)
    temporary.replace(path)


def processor():
    cpu = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), cpu)
    return "%s, %d processors" % (cpu, os.cpu_count())


class Work:
    """A network in a setting, and what was measured of it, which is also in its run."""

    def __init__(self, ninvk, run, model, asked):
        batch, _, size = asked.partition("@")
        size = int(size or model["own_size"])
        while size < model["smallest_size"]:
            size *= 2
        self.run, self.model, self.asked, self.size = run, model["model"], asked, size
        self.network = ninvk.layers(self.model, size)
        known = next((w for w in run.works if (w["model"], w["asked"]) == (self.model, asked)), {})
        self.batch = known.get("batch", int(batch))
        self.rates = known.get("rates", {})        # by program: a list of answers, None where one failed
        self.settings = known.get("settings", {})  # of PyTorch, by title
        self.out = known.get("out", [])            # programs that are asked no more

    def keep(self):
        kept = {k: getattr(self, k) for k in ("model", "asked", "size", "batch", "rates", "settings", "out")}
        kept["parameters"] = self.network["parameters"]
        for i, w in enumerate(self.run.works):
            if (w["model"], w["asked"]) == (self.model, self.asked):
                self.run.works[i] = kept
                return
        self.run.works.append(kept)

    def __str__(self):
        return "%s, %d images of %d×%d" % (self.model, self.batch, self.size, self.size)


class Session:
    """One call of this script."""

    def __init__(self, o, book, begun):
        self.o, self.book, self.begun, self.programs = o, book, begun, []

    def say(self, message):
        say("%5.0f s  %s" % (time.monotonic() - self.begun, message))

    def late(self, work, what):
        if not self.o.budget or time.monotonic() - self.begun < self.o.budget:
            return False
        self.say("%s: %s is left out, the time is over" % (work, what))
        return True

    def start(self, ninvk, work):
        if any((s["model"], s["asked"]) == (work.model, work.asked) for s in self.book.run.starts):
            return
        if self.late(work, "the first step"):
            return
        try:
            got = ninvk.start(work)
        except Failed as e:
            self.book.note("%s has no figures for the start of %s: it %s." % (ninvk.title, work, e))
            return
        self.book.run.starts.append({"model": work.model, "asked": work.asked, **got})
        self.say("%s: first step after %.1f s, with kernels in the driver's cache after %.1f s; %d kernels" % (
            work, got["cold"]["seconds"], got["warm"]["seconds"], got["cold"]["kernels"]))
        self.book.write()

    def round(self, work, r):
        """What is missing of a round. One that was interrupted is measured again, all programs side by side."""
        able = [p for p in self.programs if p.title not in work.out]
        if all(len(work.rates.get(p.title, [])) > r for p in able):
            return
        if self.late(work, "round %d" % (r + 1)):
            return
        for title, rates in work.rates.items():
            del rates[r:]
        for p in able:
            self.say("%s, round %d of %d: %s" % (work, r + 1, self.o.rounds, p.title))
            try:
                p.prepare(work)
                start = time.monotonic()
                got = p.measure(work)
                self.say("%s: training %.2f, inference %.2f images/s" % (p.title, got["train"], got["infer"]))
                if p is not self.programs[0] and time.monotonic() - start > SLOW * max(1, self.o.seconds):
                    work.out.append(p.title)
            except Failed as e:
                got = None
                self.book.note("%s has no figures for `%s`, %s: it %s." % (p.title, work.model, work.asked, e))
                work.out.append(p.title)
            work.rates.setdefault(p.title, []).append(got)
            self.book.run.names[p.title] = p.title.replace("PyTorch", p.version, 1) if "PyTorch" in p.title \
                else p.version
            work.keep()
            self.book.write()


if __name__ == "__main__":
    main()
