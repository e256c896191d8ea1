#!/usr/bin/env python3
"""Compares ninvk's speed with PyTorch's and TensorFlow.js's on the same processor, in one run on one machine.

On an adapter that is a CPU, PyTorch runs on the CPU; on a GPU by CUDA, ROCm or MPS, twice: in float32 throughout, and
as it is by default, where convolutions may round to TF32. TensorFlow.js runs through Dawn on the same driver as ninvk.
Networks are those that `ninvk models` lists.

A peer is measured at its best: before the rounds PyTorch tries settings, one after the other, and keeps those that
make it faster, for training and for inference by themselves; the table says which, and what each gained. Each round
then runs ninvk and the peers one after the other, so that a busy moment meets all of them; figures are medians over
the rounds. The table is written anew after each round.

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
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDER = ROOT / "bin" / "peers"
PACKAGES = ["@tensorflow/tfjs@4.22.0", "@tensorflow/tfjs-backend-webgpu@4.22.0", "webgpu@0.6.2"]
PASSES = ["train", "infer"]
GAIN = 1.02  # a setting is kept where it makes a pass so many times as fast
CPU_STEP = 250e9  # most operations of a training step on a CPU: a larger network takes a smaller batch
SLOW = 20  # seconds of a measurement after which a peer is left out of further rounds

# glibc's malloc gives large blocks back to the system and takes them again at every step; on a virtual machine whose
# page faults are dear, most of a step goes there.
MALLOC = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "17179869184", "MALLOC_TOP_PAD_": "268435456"}


def say(message):
    print(message, file=sys.stderr, flush=True)


def find_python(install):
    """A Python that imports torch, or None."""
    candidates = dict.fromkeys(filter(None, [sys.executable, shutil.which("python3"), "/usr/bin/python3"]))

    def found():
        for p in candidates:
            if subprocess.run([p, "-c", "import torch"], capture_output=True).returncode == 0:
                return p
        return None
    p = found()
    if p is None and install and shutil.which("apt-get"):
        say("installing python3-torch")
        sudo = [] if os.getuid() == 0 else ["sudo"]
        subprocess.run(sudo + ["apt-get", "install", "-y", "--no-install-recommends", "python3-torch"], check=False,
                       stdout=sys.stderr)
        p = found()
    return p


def find_tensorflow(install):
    """Why TensorFlow.js can't run; empty where it can."""
    if shutil.which("node") is None:
        return "there is no Node.js here"
    there = all((FOLDER / "node_modules" / p[:p.rindex("@")]).is_dir() for p in PACKAGES)
    if not there and not install:
        return "its packages are not installed here"
    if not there:
        if shutil.which("npm") is None:
            return "there is no npm to install it with"
        FOLDER.mkdir(parents=True, exist_ok=True)
        say("installing %s into %s" % (", ".join(PACKAGES), FOLDER.relative_to(ROOT)))
        p = subprocess.run(["npm", "install", "--no-fund", "--no-audit", "--ignore-scripts", "--prefix", ".",
                            *PACKAGES],
                           cwd=FOLDER, stdout=sys.stderr)
        if p.returncode != 0:
            return "npm could not install it"
    return ""


class Failed(Exception):
    pass


def run(command, folder, text="", limit=None):
    """Runs a program and returns the JSON object that it prints, or that its last line is."""
    environment = dict(os.environ)
    environment.setdefault("XDG_RUNTIME_DIR", "/tmp")
    try:
        p = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, input=text,
                           timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failed("took more than %d seconds" % limit)
    if p.returncode != 0:
        lines = [li for li in p.stderr.strip().splitlines() if re.match(r"\w*Error: |ninvk: ", li)]
        lines = lines or p.stderr.strip().splitlines()[-1:] or [""]
        raise Failed("ended with code %d: %s" % (p.returncode, lines[0].strip()))
    return json.loads(p.stdout if p.stdout.lstrip().startswith("{\n") else p.stdout.strip().splitlines()[-1])


class Server:
    """PyTorch in a process of its own, with variables of the environment set (None: unset)."""

    def __init__(self, python, variables):
        environment = {k: v for k, v in {**os.environ, **variables}.items() if v is not None}
        self.p = subprocess.Popen([python, str(HERE / "pytorch.py")], env=environment, text=True, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def ask(self, request):
        try:
            self.p.stdin.write(json.dumps(request) + "\n")
            self.p.stdin.flush()
            line = self.p.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Failed("ended with code %s" % self.p.wait())
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def close(self):
        self.p.stdin.close()
        self.p.kill()
        self.p.wait()


class Setting:
    """Variables and options of PyTorch."""

    def __init__(self, variables=None, options=()):
        self.variables, self.options = variables or {}, list(options)

    def plus(self, other):
        return Setting({**self.variables, **other.variables}, self.options + other.options)


class PyTorch:
    """A peer: PyTorch on a device, with options that it always has."""

    def __init__(self, o, python, device, title, options):
        self.o, self.python, self.device, self.title, self.options = o, python, device, title, options
        self.servers = {}
        self.best = {}  # by network and pass
        self.version = "PyTorch"

    def trials(self):
        """Settings to try, in order, with their names in the table."""
        if self.device == "cpu":
            if sys.platform == "linux":
                yield "malloc keeps its memory", Setting(MALLOC)
            blas = [v for v in os.environ if v.startswith("OPENBLAS_") and "THREADS" not in v]
            if blas:
                yield "without " + ", ".join(sorted(blas)), Setting({v: None for v in blas})
            yield "flushed denormals", Setting(options=["flush_denormal"])
        yield "`channels_last`", Setting(options=["channels_last"])
        if self.device == "cuda":
            yield "CUDA graph", Setting(options=["graph"])

    def ask(self, work, setting, passes, seconds=None):
        key = json.dumps(setting.variables, sort_keys=True)
        server = self.servers.get(key)
        if server is None or server.p.poll() is not None:
            server = self.servers[key] = Server(self.python, setting.variables)
        answer = server.ask({"network": work.network, "batch": work.batch, "device": self.device,
                             "threads": self.o.threads, "seconds": seconds or self.o.seconds, "passes": passes,
                             "options": self.options + setting.options})
        self.version = answer["version"]
        return answer

    def prepare(self, work):
        """Finds the best settings for a network; returns lines for the table."""
        best = {p: Setting() for p in PASSES}
        rates = self.ask(work, Setting(), PASSES, self.o.seconds / 2)
        lines = []
        for name, change in self.trials():
            said = []
            for setting, passes in grouped({p: best[p].plus(change) for p in PASSES}):
                try:
                    got = self.ask(work, setting, passes, self.o.seconds / 2)
                except Failed as e:
                    said.append("fails (%s)" % e)
                    continue
                for p in passes:
                    ratio = got[p] / rates[p]
                    kept = ratio >= GAIN
                    said.append("%s × %.2f%s" % ({"train": "training", "infer": "inference"}[p], ratio,
                                                 "" if kept else ", not kept"))
                    if kept:
                        best[p], rates[p] = setting, got[p]
            lines.append("%s: %s" % (name, "; ".join(said)))
        self.best[work.name] = best
        self.close_unused()
        return "%s, `%s`: %s." % (self.title, work.name, "; ".join(lines)) if lines else ""

    def measure(self, work):
        out = {}
        for setting, passes in grouped(self.best[work.name]):
            out.update(self.ask(work, setting, passes))
        return out

    def close_unused(self):
        used = {json.dumps(s.variables, sort_keys=True) for b in self.best.values() for s in b.values()}
        for key in set(self.servers) - used:
            self.servers.pop(key).close()

    def close(self):
        for s in self.servers.values():
            s.close()
        self.servers = {}


def grouped(settings):
    """Settings by pass as (setting, its passes): one measurement where they are the same."""
    a, b = (settings[p] for p in PASSES)
    if (a.variables, a.options) == (b.variables, b.options):
        return [(a, PASSES)]
    return [(a, ["train"]), (b, ["infer"])]


class TensorFlow:
    version = title = "TensorFlow.js"

    def __init__(self, o):
        self.o = o

    def prepare(self, work):
        return ""

    def measure(self, work):
        got = run(["node", str(HERE / "tensorflow.mjs"), str(work.batch)], FOLDER, json.dumps(work.network),
                  self.o.limit)
        self.version = got["version"]
        return got

    def close(self):
        pass


class Ninvk:
    def __init__(self, o, program):
        self.o, self.program = o, program
        self.version = self.title = subprocess.run([program, "version"], capture_output=True, check=True,
                                                   text=True).stdout.strip()

    def ask(self, *words):
        return run([self.program, *words], ROOT)

    def prepare(self, work):
        """Kernels are chosen and compiled before the rounds; the batch is halved until it fits."""
        while True:
            try:
                self.measure(work)
                return ""
            except Failed as e:
                if work.batch == 1 or "code 4" not in str(e):
                    raise
                work.batch //= 2

    def measure(self, work):
        n = self.ask("bench", "--child", "network", "--model", work.name, "--batch", str(work.batch), "--adapter",
                     self.o.adapter)["Network"]
        return {"train": n["train_images_per_second"], "infer": n["infer_images_per_second"]}

    def close(self):
        pass


class Work:
    """A network at a batch size, and what was measured."""

    def __init__(self, network, batch):
        self.network, self.name, self.batch = network, network["model"], batch
        self.rates = {}  # by program: a list of answers, None where a round had none


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--batch", type=int, default=64,
                   help="the largest; networks take less where it does not fit, or would take too long")
    a.add_argument("--models", default="", help="which networks, by commas (default: all)")
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--seconds", type=float, default=5, help="of PyTorch for each figure")
    a.add_argument("--threads", type=int, help="of PyTorch on a CPU",
                   default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    a.add_argument("--peers", default="pytorch,tensorflow", help="which to compare with, by commas")
    a.add_argument("--adapter", default=os.environ.get("NINVK_ADAPTER", ""), help="of ninvk, as for its --adapter")
    a.add_argument("--ninvk", default=str(ROOT / "bin" / "ninvk"), help="the program")
    a.add_argument("--no-install", action="store_true", help="use what is here")
    a.add_argument("--limit", type=float, default=600, help="seconds for one measurement of TensorFlow.js")
    a.add_argument("--budget", type=float, default=0,
                   help="seconds after which no further network or round is begun; 0 for no limit")
    a.add_argument("--out", default=str(ROOT / "docs" / "results" / "peers.md"))
    o = a.parse_args()
    begun = time.monotonic()
    ninvk = Ninvk(o, o.ninvk)
    models = [m["model"] for m in json.loads(subprocess.run([o.ninvk, "models", "--json"], capture_output=True,
                                                            check=True, text=True).stdout)]
    unknown = [m for m in o.models.split(",") if m and m not in models]
    if unknown:
        sys.exit("unknown models: %s; ninvk has %s" % (", ".join(unknown), ", ".join(models)))
    first = ninvk.ask("bench", "--child", "start", "--model", models[0], "--batch", "1", "--adapter", o.adapter)
    adapter, notes, peers = first["Adapter"], [], []
    wanted = o.peers.split(",")
    python = find_python(not o.no_install) if "pytorch" in wanted else None
    if python is not None:
        peers += pytorches(o, python, adapter, notes)
    elif "pytorch" in wanted:
        notes.append("PyTorch is left out: no python3 here can import torch.")
    if "tensorflow" in wanted:
        why = find_tensorflow(not o.no_install)
        if why:
            notes.append("TensorFlow.js is left out: %s." % why)
        else:
            peers.append(TensorFlow(o))
    programs = [ninvk] + peers
    works = []

    def late():
        return o.budget and time.monotonic() - begun > o.budget
    try:
        for name in [m for m in models if not o.models or m in o.models.split(",")]:
            if late():
                notes.append("`%s` is left out: the time was over." % name)
                continue
            network = ninvk.ask("models", name, "--json")
            batch = o.batch
            while adapter["type"] == "cpu" and batch > 1 and 6 * batch * network["multiply_adds"] > CPU_STEP:
                batch //= 2
            work = Work(network, batch)
            works.append(work)
            measure(o, work, programs, notes, late, lambda: write(o.out, table(o, adapter, programs, works, notes)))
    finally:
        for p in programs:
            p.close()
    if not works or not works[0].rates.get(ninvk):
        sys.exit("ninvk gave no figures")
    print(pathlib.Path(o.out).read_text())


def write(path, text):
    """Writes a file whole, or leaves the old one."""
    temporary = pathlib.Path(path + ".new")
    temporary.write_text(text)
    temporary.replace(path)


def pytorches(o, python, adapter, notes):
    """PyTorch on the processor that the adapter is."""
    if adapter["type"] == "cpu":
        return [PyTorch(o, python, "cpu", "PyTorch on the CPU, %d threads" % o.threads, [])]
    probe = "import json, torch; c = torch.cuda.is_available(); print(json.dumps({" \
            "'device': 'cuda' if c else 'mps' if torch.backends.mps.is_available() else '', " \
            "'name': torch.cuda.get_device_name() if c else ''}))"
    got = run([python, "-c", probe], ROOT)
    if not got["device"]:
        notes.append("PyTorch is left out: the one here runs on no GPU.")
        return []
    if got["name"] and got["name"] not in adapter["name"] and adapter["name"] not in got["name"]:
        notes.append("PyTorch runs on %s." % got["name"])
    if got["device"] == "mps":
        return [PyTorch(o, python, "mps", "PyTorch, MPS", [])]
    return [PyTorch(o, python, "cuda", "PyTorch, CUDA, float32", []),
            PyTorch(o, python, "cuda", "PyTorch, CUDA, its default (TF32 in convolutions)", ["tf32"])]


def measure(o, work, programs, notes, late, write):
    able = []
    for p in programs:
        say("%s, batch %d: preparing %s" % (work.name, work.batch, p.title))
        try:
            line = p.prepare(work)
            able.append(p)
            notes += [line] if line else []
        except Failed as e:
            notes.append("%s has no figures for `%s`: it %s." % (p.title, work.name, e))
    for r in range(o.rounds):
        if r > 0 and late():
            notes.append("`%s`: %d of %d rounds, then the time was over." % (work.name, r, o.rounds))
            break
        for p in list(able):
            say("%s, batch %d, round %d of %d: %s" % (work.name, work.batch, r + 1, o.rounds, p.title))
            start = time.monotonic()
            try:
                work.rates.setdefault(p, []).append(p.measure(work))
            except Failed as e:
                work.rates.setdefault(p, []).append(None)
                notes.append("%s, `%s`: it %s." % (p.title, work.name, e))
                say(notes[-1])
                able.remove(p)
                continue
            if not isinstance(p, Ninvk) and time.monotonic() - start > SLOW * max(1, o.seconds):
                able.remove(p)
        write()


def table(o, adapter, programs, works, notes):
    ninvk = programs[0]

    def spread(v, form):
        if len(v) == 1:
            return form % v[0]
        return (form + " (" + form + " to " + form + ")") % (statistics.median(v), min(v), max(v))

    def figures(work, p, what):
        """Images a second, and ninvk's over them round by round: a busy moment slows all programs that run in it."""
        pairs = [(n[what], g[what]) for n, g in zip(work.rates.get(ninvk, []), work.rates[p]) if n and g]
        if not pairs:
            return "–", "–"
        v = [g for _, g in pairs]
        ratio = "1" if p is ninvk else spread([n / g for n, g in pairs], "%.2f")
        return spread(v, "%.1f" if max(v) < 1000 else "%.0f"), ratio

    cpu = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), cpu)
    lines = [
        "# Speed beside PyTorch and TensorFlow.js", "",
        "`make bench-peers` wrote this file. float32; images per second, median of up to %d rounds (least to greatest)."
        % o.rounds,
        "A ratio is ninvk's speed over the other's in the same round.", "",
        "%s, %d processors; ninvk on %s, %s; %s." % (cpu, os.cpu_count(), adapter["name"], adapter["driver"],
                                                     datetime.date.today().isoformat()), "",
        "| network | batch | program | training | ninvk's ratio | inference | ninvk's ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for work in works:
        for p in [q for q in programs if any(work.rates.get(q, []))]:
            name = p.version
            if p is ninvk:
                name = p.title
            elif isinstance(p, PyTorch):
                name = p.title.replace("PyTorch", p.version, 1)
            cells = figures(work, p, "train") + figures(work, p, "infer")
            lines.append("| `%s`, %d×%d | %d | %s | %s |" % (work.name, work.network["size"], work.network["size"],
                                                             work.batch, name, " | ".join(cells)))
    lines += ["", "Training is SGD with momentum 0.9 (TensorFlow.js's has no weight decay); inference is the forward "
              "pass. ninvk's figures contain fetching and normalising the images, and the loss in inference; the "
              "others work on ready tensors. PyTorch has the settings that were the fastest here, tried one after the "
              "other:", ""]
    lines += ["- " + n for n in dict.fromkeys(notes)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
