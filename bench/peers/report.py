"""What was measured, as a page of Markdown."""
import os
import statistics

PASSES = ["train", "infer"]


def text(processor, runs):
    lines = [
        "# Speed beside PyTorch and TensorFlow.js", "",
        "`make bench-peers` wrote this file. float32; images per second, the median where there was more than one "
        "round (least to greatest). A ratio is ninvk's speed over the other's in the same round.", "",
        "Training is SGD with momentum 0.9 (TensorFlow.js's has no weight decay); inference is the forward pass. "
        "ninvk's figures contain fetching and normalising the images, and the loss in inference; the others work on "
        "ready tensors. PyTorch has the settings that were the fastest here.",
    ]
    for run in runs:
        a = run.adapter
        where = "%s; ninvk on %s, %s; %s." % (processor, a["name"], a["driver"], run.date)
        lines += ["", "## %s" % a["driver"], "", where + busy(run)]
        lines += summary(run) + starts(run) + beside(run) + tried(run)
        if run.notes:
            lines += [""] + ["- " + n for n in run.notes]
    return "\n".join(lines) + "\n"


def busy(run):
    if run.load <= (os.cpu_count() or 1):
        return ""
    return " The load average was up to %.0f when parts of it began: other programs slowed all that is compared." % (
        run.load)


def table(head, rows):
    """A table whose columns are figures, but for the first and one of programs."""
    if not rows:
        return []
    line = "|" + "".join("---|" if h in ("network", "program") else "--:|" for h in head)
    return ["", "| " + " | ".join(head) + " |", line] + ["| " + " | ".join(r) + " |" for r in rows]


def named(model, size):
    return "`%s`, %d×%d" % (model, size, size)


def summary(run):
    """A row a network, where there is more than one setting, and a peer: the ratio is to the first."""
    settings = list(dict.fromkeys(w["asked"] for w in run.works))
    models = list(dict.fromkeys(w["model"] for w in run.works))
    if len(settings) < 2 or len(run.names) < 2:
        return []
    ninvk, peer = list(run.names)[:2]
    rows = []
    for m in models:
        works = {w["asked"]: w for w in run.works if w["model"] == m}
        start = next((s for s in run.starts if (s["model"], s["asked"]) == (m, settings[0])), None)
        row = ["`%s`" % m, "{:,}".format(next(iter(works.values()))["parameters"])]
        if start:
            cold, warm = start["cold"], start["warm"]
            row += ["%d" % cold["kernels"], "%.0f s" % cold["seconds"], "%.1f s" % warm["seconds"],
                    "%.0f MB" % (cold["planned_bytes"] / 1e6)]
        else:
            row += ["–"] * 4
        for asked in settings:
            for what in PASSES:
                row.append(brief(works.get(asked), ninvk, peer, what))
        rows.append(row)
    head = ["network", "parameters", "kernels", "first step", "again", "memory"]
    for asked in settings:
        batch, _, size = asked.partition("@")
        of = "%s of %s×%s" % (batch, size, size) if size else batch
        head += ["training, %s" % of, "inference, %s" % of]
    return ["", "### The networks", "",
            "Images a second of ninvk, in parentheses its ratio to %s. Before that the kernels of a training step, the "
            "seconds until the first one is done with the driver's cache of kernels empty, and again with them in it, "
            "and the memory that is planned for training; these are of the smaller images. A network that takes none "
            "so small has images of twice the pixels a side." % run.names[peer]] + table(head, rows)


def brief(work, ninvk, peer, what):
    """The median, and that of the ratios."""
    own = [g[what] for g in (work or {"rates": {}})["rates"].get(ninvk, []) if g]
    if not own:
        return "–"
    pairs = [n[what] / g[what] for n, g in zip(work["rates"][ninvk], work["rates"].get(peer, [])) if n and g]
    return number(own) % statistics.median(own) + (" (%.2f)" % statistics.median(pairs) if pairs else "")


def number(v):
    """A form of three digits or more."""
    return "%.2f" if max(v) < 10 else "%.1f" if max(v) < 1000 else "%.0f"


def starts(run):
    rows = []
    for s in run.starts:
        cold, warm = s["cold"], s["warm"]
        rows.append([named(s["model"], cold["size"]), "%d" % cold["batch"], "%d" % cold["kernels"],
                     "%.1f s" % cold["seconds"], "%.1f s" % warm["seconds"], "%.2f s" % warm["step_seconds"],
                     "%.0f MB" % (cold["planned_bytes"] / 1e6)])
    if not rows:
        return []
    return ["", "### The first training step", "",
            "Seconds from the program's start to the end of the first training step, with the driver's cache of "
            "compiled kernels empty, and with them in it; the kernels that the step takes, and the memory that is "
            "planned for training."] + table(
        ["network", "batch", "kernels", "cache empty", "cache full", "of it the step", "memory"], rows)


def beside(run):
    ninvk = next(iter(run.names), None)
    rows = []
    for w in sorted(run.works, key=lambda w: order(run, w)):
        for title, name in run.names.items():
            if any(w["rates"].get(title, [])):
                cells = figures(w, ninvk, title, "train") + figures(w, ninvk, title, "infer")
                rows.append([named(w["model"], w["size"]), "%d" % w["batch"], name, *cells])
    if not rows:
        return []
    return ["", "### Images a second"] + table(
        ["network", "batch", "program", "training", "ninvk's ratio", "inference", "ninvk's ratio"], rows)


def order(run, work):
    """Works by setting, each in the order of the networks; both as they were first measured."""
    asked = list(dict.fromkeys(w["asked"] for w in run.works))
    models = list(dict.fromkeys(w["model"] for w in run.works))
    return asked.index(work["asked"]), models.index(work["model"])


def figures(work, ninvk, title, what):
    """Images a second, and ninvk's over them round by round: a busy moment slows all programs that run in it."""
    own = [g[what] for g in work["rates"][title] if g]
    pairs = [(n[what], g[what]) for n, g in zip(work["rates"].get(ninvk, []), work["rates"][title]) if n and g]
    if title == ninvk:
        ratio = "1"
    else:
        ratio = spread([n / g for n, g in pairs], "%.2f") if pairs else "–"
    return [spread(own, number(own)), ratio]


def spread(v, form):
    if len(v) == 1:
        return form % v[0]
    return (form + " (" + form + " to " + form + ")") % (statistics.median(v), min(v), max(v))


def tried(run):
    """What the settings of PyTorch gained, a line for each setting."""
    lines = {}
    for t in run.tried:
        if "failed" in t:
            said = "fails (%s)" % t["failed"]
        else:
            said = ", ".join("%.2f" % t[p] for p in PASSES)
        lines.setdefault((t["title"], t["asked"], t["name"], t["common"]), []).append("`%s` %s" % (t["model"], said))
    if not lines:
        return []
    out = ["", "### What PyTorch's settings gained", "",
           "Times as fast in training, in inference; what gains 2 % is kept, for each of them by itself. What concerns "
           "the whole process was tried with one network and serves all of that setting.", ""]
    for (title, asked, name, common), said in lines.items():
        out.append("- %s, %s, %s%s: %s." % (title, asked, name, " (for all)" if common else "", "; ".join(said)))
    return out
