"""The programs that are compared. Each gives a network's images a second in training and inference, at its best."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FOLDER = ROOT / "bin" / "peers"
PACKAGES = ["@tensorflow/tfjs@4.22.0", "@tensorflow/tfjs-backend-webgpu@4.22.0", "webgpu@0.6.2"]
PASSES = ["train", "infer"]
GAIN = 1.02  # an option is kept where it makes a pass so many times as fast

# glibc's malloc gives large blocks back to the system and takes them again at every step; on a virtual machine whose
# page faults are dear, most of a step goes there.
MALLOC = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "17179869184", "MALLOC_TOP_PAD_": "268435456"}

# OpenMP's threads wait for each other in a loop, and that for long where another program has taken a core meanwhile: on
# a busy machine a small network ran a tenth as fast. Elsewhere waking them costs networks of many small layers
# half of their speed.
SLEEP = {"OMP_WAIT_POLICY": "PASSIVE"}

# Where drivers keep the kernels that they compiled.
CACHES = ["XDG_CACHE_HOME", "MESA_SHADER_CACHE_DIR", "MESA_GLSL_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH"]


def say(message):
    print(message, file=sys.stderr, flush=True)


class Failed(Exception):
    """Why a program gave no figures, to follow "it"."""


def run(command, folder, text="", limit=None, variables=None):
    """Runs a program and returns the JSON object that it prints, or that its last line is."""
    environment = {**os.environ, **(variables or {})}
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


class Ninvk:
    """This program. A network whose start is measured has a folder of its own for compiled kernels from then on."""

    def __init__(self, o):
        self.program, self.adapter = o.ninvk, o.adapter
        self.version = self.title = subprocess.run([o.ninvk, "version"], capture_output=True, check=True,
                                                   text=True).stdout.strip()
        self.caches = {}

    def ask(self, *words, variables=None):
        return run([self.program, *words], ROOT, variables=variables)

    def models(self):
        return json.loads(subprocess.run([self.program, "models", "--json"], capture_output=True, check=True,
                                         text=True).stdout)

    def open(self, model):
        """The adapter that is chosen."""
        return self.ask("bench", "--child", "start", "--model", model, "--batch", "1", "--adapter",
                        self.adapter)["Adapter"]

    def layers(self, model, size):
        return self.ask("models", model, "--size", str(size), "--json")

    def child(self, what, work):
        cache = self.caches.get(work.model)
        return self.ask("bench", "--child", what, "--model", work.model, "--size", str(work.size), "--batch",
                        str(work.batch), "--adapter", self.adapter,
                        variables={name: cache for name in CACHES if cache})

    def start(self, work):
        """The first training step with an empty folder for compiled kernels, and again with what is in it then."""
        self.forget(work.model)
        self.caches[work.model] = tempfile.mkdtemp(prefix="ninvk-peers-")
        return {caches: self.child("start", work)["StartUp"] for caches in ["cold", "warm"]}

    def forget(self, model):
        if model in self.caches:
            shutil.rmtree(self.caches.pop(model), ignore_errors=True)

    def prepare(self, work):
        pass

    def measure(self, work):
        """Halves the batch until it fits, where nothing is measured yet: code 4 says that memory is too little."""
        while True:
            try:
                n = self.child("network", work)["Network"]
                return {"train": n["train_images_per_second"], "infer": n["infer_images_per_second"]}
            except Failed as e:
                if work.batch == 1 or work.rates or "code 4" not in str(e):
                    raise
                work.batch //= 2

    def close(self):
        for model in list(self.caches):
            self.forget(model)


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
            raise Failed("says: " + answer["error"])
        return answer

    def close(self):
        self.p.stdin.close()
        self.p.kill()
        self.p.wait()


class Setting:
    """Variables and options of PyTorch."""

    def __init__(self, variables=None, options=()):
        self.variables, self.options = dict(variables or {}), list(options)

    def plus(self, other):
        return Setting({**self.variables, **other.variables}, self.options + other.options)


class PyTorch:
    """PyTorch on a device, with options that it always has."""

    def __init__(self, o, python, device, title, options):
        self.o, self.python, self.device, self.title, self.options = o, python, device, title, options
        self.server, self.variables = None, None
        self.version = "PyTorch"

    def common(self):
        """Settings of a process, with their names in the table: one network tries them for all others."""
        if self.device == "cpu":
            if sys.platform == "linux":
                yield "malloc keeps its memory", Setting(MALLOC)
            blas = [v for v in os.environ if v.startswith("OPENBLAS_") and "THREADS" not in v]
            if blas:
                yield "without " + ", ".join(sorted(blas)), Setting({v: None for v in blas})
            yield "flushed denormals", Setting(options=["flush_denormal"])

    def own(self):
        """Settings that each network tries for itself."""
        if self.device == "cpu":
            yield "threads that sleep while they wait", Setting(SLEEP)
        yield "`channels_last`", Setting(options=["channels_last"])
        yield "frozen TorchScript", Setting(options=["frozen"])
        if self.device == "cuda":
            yield "CUDA graph", Setting(options=["graph"])

    def ask(self, work, setting, passes, seconds):
        """One process at a time: what an idle one keeps is not there for the others."""
        if self.server is None or self.server.p.poll() is not None or self.variables != setting.variables:
            self.close()
            self.server, self.variables = Server(self.python, setting.variables), setting.variables
        answer = self.server.ask({"network": work.network, "batch": work.batch, "device": self.device,
                                  "threads": self.o.threads, "seconds": seconds, "passes": passes,
                                  "options": self.options + setting.options})
        self.version = answer["version"]
        return answer

    def prepare(self, work):
        """Finds the best settings for a network, where they are not known yet, and keeps them with its figures."""
        if self.title in work.settings:
            return
        found = work.run.common.get(self.title, {}).get(work.asked)
        best = {p: Setting(**(found or {}).get(p, {})) for p in PASSES}
        rates = self.ask(work, Setting(), PASSES, self.o.trial) if not found else {}
        if not found:
            self.choose(work, self.common(), best, rates, True)
            work.run.common.setdefault(self.title, {})[work.asked] = {p: vars(best[p]) for p in PASSES}
        else:
            for setting, passes in grouped(best):
                rates.update(self.ask(work, setting, passes, self.o.trial))
        self.choose(work, self.own(), best, rates, False)
        work.settings[self.title] = {p: vars(best[p]) for p in PASSES}

    def choose(self, work, trials, best, rates, common):
        for name, change in trials:
            tried = {"title": self.title, "asked": work.asked, "model": work.model, "name": name, "common": common}
            for setting, passes in grouped({p: best[p].plus(change) for p in PASSES}):
                try:
                    got = self.ask(work, setting, passes, self.o.trial)
                except Failed as e:
                    tried["failed"] = str(e)
                    continue
                for p in passes:
                    tried[p] = got[p] / rates[p]
                    if tried[p] < GAIN:
                        continue
                    # Once more, side by side: else a busy moment could choose.
                    before, after = (self.ask(work, s, [p], self.o.trial)[p] for s in (best[p], setting))
                    tried[p] = min(tried[p], after / before)
                    if tried[p] >= GAIN:
                        best[p], rates[p] = setting, after
            work.run.tried.append(tried)

    def measure(self, work):
        out = {}
        for setting, passes in grouped({p: Setting(**work.settings[self.title][p]) for p in PASSES}):
            out.update(self.ask(work, setting, passes, self.o.seconds))
        return {p: out[p] for p in PASSES}

    def close(self):
        if self.server is not None:
            self.server.close()
            self.server = None


def grouped(settings):
    """Settings by pass as (setting, its passes): one measurement where they are the same."""
    a, b = (settings[p] for p in PASSES)
    if vars(a) == vars(b):
        return [(a, PASSES)]
    return [(a, ["train"]), (b, ["infer"])]


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


def pytorches(o, adapter, note):
    """PyTorch on the processor that the adapter is; note is told why it is left out."""
    python = find_python(not o.no_install)
    if python is None:
        note("PyTorch is left out: no python3 here can import torch.")
        return []
    if adapter["type"] == "cpu":
        return [PyTorch(o, python, "cpu", "PyTorch on the CPU, %d threads" % o.threads, [])]
    probe = "import json, torch; c = torch.cuda.is_available(); print(json.dumps({" \
            "'device': 'cuda' if c else 'mps' if torch.backends.mps.is_available() else '', " \
            "'name': torch.cuda.get_device_name() if c else ''}))"
    got = run([python, "-c", probe], ROOT)
    if not got["device"]:
        note("PyTorch is left out: the one here runs on no GPU.")
        return []
    if got["name"] and got["name"] not in adapter["name"] and adapter["name"] not in got["name"]:
        note("PyTorch runs on %s." % got["name"])
    if got["device"] == "mps":
        return [PyTorch(o, python, "mps", "PyTorch, MPS", [])]
    return [PyTorch(o, python, "cuda", "PyTorch, CUDA, float32", []),
            PyTorch(o, python, "cuda", "PyTorch, CUDA, its default (TF32 in convolutions)", ["tf32"])]


class TensorFlow:
    """TensorFlow.js through Dawn, on the driver that ninvk runs on."""

    version = title = "TensorFlow.js"

    def __init__(self, o):
        self.o = o

    def prepare(self, work):
        pass

    def measure(self, work):
        got = self.ask(work, self.o.seconds)
        self.version = got["version"]
        return {p: got[p] for p in PASSES}

    def ask(self, work, seconds):
        return run(["node", str(HERE / "tensorflow.mjs"), str(work.batch), str(seconds)], FOLDER,
                   json.dumps(work.network), self.o.limit)

    def close(self):
        pass


def tensorflows(o, note):
    """TensorFlow.js where it can run; note is told why it can't."""
    why = missing_tensorflow(not o.no_install)
    if not why:
        try:
            run(["node", str(HERE / "tensorflow.mjs"), "probe"], FOLDER, limit=o.limit)
            return [TensorFlow(o)]
        except Failed as e:
            why = "it " + str(e)
    note("TensorFlow.js is left out: %s." % why)
    return []


def missing_tensorflow(install):
    """What TensorFlow.js lacks here; empty where all is there."""
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
