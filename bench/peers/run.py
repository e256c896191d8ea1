#!/usr/bin/python3
"""Compares ninvk's speed with PyTorch's on the CPU and TensorFlow.js's through Dawn, in one run on one machine.

Each round runs ninvk, PyTorch and TensorFlow.js one after the other, so that a busy moment meets all of them; figures are medians over the rounds.
What is missing is installed first: python3-torch by apt-get, the npm packages into bin/peers. Standard library only.
"""
import argparse
import datetime
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "bin" / "peers"
PACKAGES = ["@tensorflow/tfjs@4.22.0", "@tensorflow/tfjs-backend-webgpu@4.22.0", "webgpu@0.6.2"]
PYTHON = "/usr/bin/python3"  # Debian's, for which python3-torch is


def say(message):
    print(message, file=sys.stderr, flush=True)


def install(peers):
    """Installs what the peers need and returns those that can run."""
    able = []
    if "pytorch" in peers:
        def there():
            return subprocess.run([PYTHON, "-c", "import torch"], capture_output=True).returncode == 0
        if not there() and shutil.which("apt-get"):
            say("installing python3-torch")
            sudo = [] if os.getuid() == 0 else ["sudo"]
            subprocess.run(sudo + ["apt-get", "install", "-y", "--no-install-recommends", "python3-torch"], check=False, stdout=sys.stderr)
        if there():
            able.append("pytorch")
        else:
            say("PyTorch is left out: %s can't import torch" % PYTHON)
    if "tensorflow" in peers:
        if shutil.which("npm") is None:
            say("TensorFlow.js is left out: there is no npm (Node 20 or later is needed)")
        else:
            FOLDER.mkdir(parents=True, exist_ok=True)
            if not all((FOLDER / "node_modules" / p[:p.rindex("@")]).is_dir() for p in PACKAGES):
                say("installing %s into %s" % (", ".join(PACKAGES), FOLDER.relative_to(ROOT)))
                subprocess.run(["npm", "install", "--no-fund", "--no-audit", "--ignore-scripts", "--prefix", ".", *PACKAGES], cwd=FOLDER, check=True, stdout=sys.stderr)
            able.append("tensorflow")
    return able


def measure(name, command, folder):
    """Runs one program; its last line, or all it prints, is a JSON object. Returns None where it fails."""
    environment = dict(os.environ)
    environment.setdefault("XDG_RUNTIME_DIR", "/tmp")
    p = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if p.returncode != 0:
        lines = [line for line in p.stderr.strip().splitlines() if "Error" in line or "ninvk:" in line] or p.stderr.strip().splitlines()[-1:]
        return None, "%s ended with code %d: %s" % (name, p.returncode, (lines or [""])[0].strip())
    text = p.stdout
    return json.loads(text if text.lstrip().startswith("{\n") else text.strip().splitlines()[-1]), ""


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--batch", type=int, default=64)
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of PyTorch")
    a.add_argument("--peers", default="pytorch,tensorflow", help="which to compare with, by commas")
    a.add_argument("--adapter", default="", help="of ninvk, as for its --adapter")
    a.add_argument("--out", default=str(ROOT / "docs" / "results" / "peers.md"))
    o = a.parse_args()
    peers = install(o.peers.split(","))
    ninvk = str(ROOT / "bin" / "ninvk")
    batch = str(o.batch)
    adapter = next(d for d in json.loads(subprocess.run([ninvk, "adapters", "--json"], capture_output=True, check=True, text=True).stdout) if d["default"])
    if o.adapter or os.environ.get("NINVK_ADAPTER"):
        adapter = {"name": o.adapter or os.environ["NINVK_ADAPTER"], "driver": "as chosen"}
    commands = {
        "ninvk": ([ninvk, "bench", "--child", "network", "--model", "nin", "--batch", batch, "--adapter", o.adapter], ROOT),
        "pytorch": ([PYTHON, str(ROOT / "bench/peers/pytorch.py"), batch, str(o.threads)], ROOT),
        "tensorflow": (["node", str(ROOT / "bench/peers/tensorflow.mjs"), batch], FOLDER),
    }
    version = subprocess.run([ninvk, "version"], capture_output=True, check=True, text=True).stdout.strip()
    rates, names, notes = {}, {"ninvk": version}, []
    for r in range(o.rounds):
        for name in ["ninvk"] + peers:
            if name in names and name != "ninvk" and name not in rates:
                continue  # failed in the first round
            say("round %d of %d: %s" % (r + 1, o.rounds, name))
            got, why = measure(name, *commands[name])
            if got is None:
                notes.append(why)
                say(why)
                names.setdefault(name, name)
                continue
            if name == "ninvk":
                n = got["Network"]
                got = {"train": n["train_images_per_second"], "infer": n["infer_images_per_second"]}
            names[name] = got.get("version", names.get(name))
            for what in ("train", "infer"):
                rates.setdefault(name, {}).setdefault(what, []).append(got[what])
    if "ninvk" not in rates:
        sys.exit("ninvk gave no figures")
    lines = table(o, adapter, rates, names)
    lines += [n + "." for n in dict.fromkeys(notes)]
    text = "\n".join(lines) + "\n"
    print(text)
    pathlib.Path(o.out).write_text(text)


def table(o, adapter, rates, names):
    def figure(name, what):
        v = rates[name][what]
        return "%.1f (%.1f to %.1f)" % (statistics.median(v), min(v), max(v))

    def ratio(name, what):
        # Round by round: what slows one moment slows all programs that run in it.
        v = [a / b for a, b in zip(rates["ninvk"][what], rates[name][what])]
        return "%.2f (%.2f to %.2f)" % (statistics.median(v), min(v), max(v))

    cpu = "unknown"
    if os.path.exists("/proc/cpuinfo"):
        cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), cpu)
    lines = [
        "# Speed beside PyTorch and TensorFlow.js", "",
        "`make bench-peers` wrote this file. `nin`, batches of %d images of 32×32 pixels, float32; images per second, median of %d rounds (least to greatest)."
        % (o.batch, o.rounds),
        "A ratio is ninvk's speed over the other's in the same round.", "",
        "%s, %d threads; ninvk on %s, %s; %s." % (cpu, o.threads, adapter["name"], adapter["driver"], datetime.date.today().isoformat()), "",
        "| program | training | ninvk's ratio | inference | ninvk's ratio |", "|---|---|---|---|---|",
        "| %s | %s | 1 | %s | 1 |" % (names["ninvk"], figure("ninvk", "train"), figure("ninvk", "infer")),
    ]
    for name in rates:
        if name != "ninvk":
            lines.append("| %s | %s | %s | %s | %s |" % (names[name], figure(name, "train"), ratio(name, "train"), figure(name, "infer"), ratio(name, "infer")))
    lines += ["", "Training is SGD with momentum 0.9 (TensorFlow.js's has no weight decay), the loss read back or the step waited for; inference is the forward pass. "
              "ninvk's figures contain fetching and normalising the images, and the loss in inference; the others work on ready tensors.", ""]
    return lines


main()
