"""The drawings of part 2, made from the parts of `course.figures`."""

from __future__ import annotations

import html
import io
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from labkit.consistency.explore import Counterexample
from labkit.consistency.history import Operation
from labkit.consistency.linearizability import Verdict
from labkit.consistency.models import READS, canonical
from labkit.consistency.run import StoreRun
from labkit.consistency.staleness import Staleness
from labkit.course.figures import COLORS, beside, inside, label, log_axes, shade, space_time

WRONG = COLORS["wasted"]
AROUND, AFTER = 24, 6           # calls before and after the place that a saved picture shows
LANES = 30                      # and processes at most
LISTED = 200                    # calls of the prefix in a page


def history(axes: Axes, operations: Iterable[Operation], verdict: Verdict | None = None,
            window: tuple[float, float] | None = None, unit: str = "ms") -> None:
    """Calls as bars, one lane per process, with what was written or read; the blocking call of `verdict` in red.

    A call that never came back runs to the right edge, hatched. A bar says as much as it has room for.
    """
    calls = [o for o in operations if window is None or (o.returned >= window[0] and o.invoked <= window[1])]
    lanes = {process: i for i, process in enumerate(sorted({o.process for o in calls}, key=_by_number))}
    start, stop = window or _extent(calls)
    bars: dict[tuple[str, bool, bool], list[tuple[int, float, float]]] = {}
    for o in calls:
        lane, end = lanes[o.process], min(o.returned, stop)
        reads = o.kind in (*READS, "dequeue")
        blocking = verdict is not None and o == verdict.blocking
        color = WRONG if blocking else COLORS["simulated"] if reads else COLORS["attempts"]
        width = max(end - o.invoked, 0.003 * (stop - start))
        bars.setdefault((color, width == end - o.invoked, o.crashed), []).append((lane, width, o.invoked))
        value = _short(o.result if reads else o.args[-1] if o.args else "")
        inside(axes, max(o.invoked, start), min(o.invoked + width, stop), lane, [f"{o.kind[0]} {value}", value],
               "white" if reads or blocking else "black")
    for (color, wide, crashed), rows in bars.items():           # one artist for all of a kind: a barh each is costly
        shapes = [[(x, y - 0.31), (x + w, y - 0.31), (x + w, y + 0.31), (x, y + 0.31)] for y, w, x in rows]
        axes.add_collection(PolyCollection(shapes, facecolor=color, alpha=0.85, lw=int(wide), edgecolor="white",
                                           hatch="////" if crashed else None), autolim=False)
    for x, name, color in ((0.0, "reads", COLORS["simulated"]), (0.1, "writes", COLORS["attempts"]),
                           (0.22, "what no order explains", WRONG)):
        if name != "what no order explains" or any(verdict and o == verdict.blocking for o in calls):
            label(axes, start + x * (stop - start), -0.5, name, color, fontsize=8)
    axes.set_yticks(range(len(lanes)), [f"process {name}" if isinstance(name, int) else str(name) for name in lanes])
    axes.set_ylim(len(lanes) - 0.4, -1.15)
    axes.set_xlim(start, stop)
    axes.set_xlabel(f"time ({unit})")
    axes.grid(axis="y", visible=False)


def save(path: str | Path, operations: Iterable[Operation], verdict: Verdict) -> None:
    """Draw the calls around what `verdict` blames, with their places in the longest linearizable prefix, to a file.

    path: .png, .svg, or .html: a page by itself with the picture and the end of that prefix. Of a key-value store the
    calls of the key that is wrong. Where nothing is blamed, the first calls. Across stands the order of the calls and
    returns, not time, so that short calls among long ones can be seen.
    """
    path = Path(path)
    calls = [o for o in operations if verdict.key is None or canonical(o.args[0]) == canonical(verdict.key)]
    shown = _around(calls, verdict)
    lanes = len({o.process for o in shown})
    figure = Figure(figsize=(11, 1.9 + 0.42 * lanes), layout="constrained")
    axes = figure.add_subplot()
    if shown:
        _ranked(axes, shown, verdict)
    axes.set_title("\n".join(textwrap.wrap(repr(verdict), 125, max_lines=3)), loc="left", fontsize=9)
    if path.suffix.lower() != ".html":
        figure.savefig(path, dpi=130)
        return
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg")
    svg = drawn.getvalue()
    first = max(1, len(verdict.prefix) - LISTED + 1)
    rows = "".join(f"<li>{html.escape(str(o))}</li>" for o in verdict.prefix[first - 1:])
    path.write_text(f"""<!doctype html><meta charset="utf-8"><title>{html.escape(repr(verdict))}</title>
<body style="font: 14px sans-serif; max-width: 1100px; margin: 2em auto">
{svg[svg.index("<svg"):]}
<h4>One legal order of what had returned before, from number {first}</h4><ol start="{first}">{rows}</ol>
""", encoding="utf-8")


def _ranked(axes: Axes, shown: Sequence[Operation], verdict: Verdict) -> None:
    """`history` over the order of the events, with the number of each call in the prefix, and what it was, above it."""
    times = sorted({time for o in shown for time in (o.invoked, o.returned) if time < math.inf})
    rank = {time: float(k) for k, time in enumerate(times)} | {math.inf: math.inf}
    placed = [replace(o, invoked=rank[o.invoked], returned=rank[o.returned] + 0.6 * (o.returned == o.invoked))
              for o in shown]
    blocking = next((p for o, p in zip(shown, placed, strict=True) if o == verdict.blocking), None)
    window = -0.5, len(times) + 0.5
    history(axes, placed, replace(verdict, blocking=blocking), window, "")
    axes.set_xlabel("calls and returns in their order; a number is a call's place in the longest linearizable prefix")
    axes.set_xticks([])
    lanes = {process: i for i, process in enumerate(sorted({o.process for o in shown}, key=_by_number))}
    number = {id(o): f"{k}" for k, o in enumerate(verdict.prefix, 1)}
    character = 4.6 * (len(times) + 1) / 690                # of the small text, in places of the axis
    free: dict[object, float] = {}                          # process -> where its last text ends
    for o, p in sorted(zip(shown, placed, strict=True), key=lambda pair: pair[1].invoked):
        told = _told(o)
        inside_it = (len(told) + 1) * 1.15 * character < min(p.returned, window[1]) - p.invoked
        text = number.get(id(o), "") if inside_it else f"{number.get(id(o), '')} {told}".strip()
        if p.invoked < free.get(o.process, -1):
            text = number.get(id(o), "")
        if text and p.invoked >= free.get(o.process, -1):
            axes.text(p.invoked, lanes[o.process] - 0.33, text, fontsize=7, va="bottom", ha="left", color="#333333")
            free[o.process] = p.invoked + (len(text) + 0.5) * character


def _told(o: Operation) -> str:
    value = o.result if o.kind in (*READS, "dequeue") else o.args[-1] if o.args else ""
    text = _short(value)
    return f"{o.kind[0]} {text if len(text) <= 7 else '…' + text[-6:]}".strip()


def _by_number(process: object) -> tuple[bool, int, str]:
    """Processes 2 and 10 in this order, and names after them."""
    return not isinstance(process, int), process if isinstance(process, int) else 0, str(process)


def _around(calls: Sequence[Operation], verdict: Verdict) -> list[Operation]:
    """The calls that returned last before the blamed one, it, what was open then, and some after it."""
    if verdict.blocking is None:
        return sorted(calls, key=lambda o: o.invoked)[:AROUND + AFTER]
    end = verdict.blocking.returned
    before = [o for o in calls if o.returned <= end and o != verdict.blocking]
    before = sorted(before, key=lambda o: o.returned)[-AROUND:]
    begin = min([o.invoked for o in before[-AROUND // 2:]] + [verdict.blocking.invoked])
    open_then = [o for o in calls if o.invoked <= end < o.returned and (not o.crashed or o in verdict.prefix)]
    after = sorted((o for o in calls if o.invoked > end), key=lambda o: o.invoked)[:AFTER]
    found = [verdict.blocking, *[o for o in before if o.returned >= begin], *open_then[:AROUND], *after]
    kept = list(dict.fromkeys(o.process for o in found))[:LANES]
    return [o for o in found if o.process in kept]


def _extent(calls: Sequence[Operation]) -> tuple[float, float]:
    ends = [o.returned for o in calls if o.returned < math.inf] + [o.invoked for o in calls]
    start, stop = min(o.invoked for o in calls), max(ends)
    return start, stop + 0.06 * (stop - start or 1)


def _short(value: object) -> str:
    return "-" if value is None else str(value)


def counterexample(axes: Axes, found: Counterexample) -> None:
    """The shortest violating order as a space-time diagram: clients above, replicas below, time in steps."""
    clients = list(dict.fromkeys(move.call for move in found.moves))
    lanes = [f"{'write' if name.startswith('w') else 'read'} {name}" for name in clients]
    lanes += [f"replica {i}" for i in range(found.n)]
    lane = dict(zip(clients, lanes, strict=False))
    events, messages = [], []
    sent: dict[str, int] = {}                               # call -> step at which it last sent something
    answered: dict[tuple[str, int], int] = {}
    for step, move in enumerate(found.moves, 1):
        here = lane[move.call] if move.replica is None else f"replica {move.replica}"
        text = {"calls": "", "answers": str(move.value), "stores": f"={move.value}", "repairs": "write back",
                "returns": str(move.value) if not move.call.startswith("w") else "done"}[move.what]
        events.append((here, float(step), text))
        if move.replica is not None:
            messages.append((lane[move.call], float(sent[move.call]), here, float(step), False))
            answered[move.call, move.replica] = step
        else:
            messages += [(f"replica {i}", float(answered[move.call, i]), here, float(step), False) for i in move.used]
            sent[move.call] = step
    space_time(axes, lanes, events, messages, "steps")


def sides(axes: Sequence[Axes], run: StoreRun) -> None:
    """Every call as a dot, time against latency, one picture per side of the partition."""
    stale = {(o.process, o.invoked) for o in run.stale_reads}
    for ax, side in zip(axes, ("majority", "minority"), strict=True):
        for kind, color in (("ok", COLORS["goodput"]), ("stale", COLORS["attempts"]), ("failed", WRONG)):
            dots = [(a.invoked / 1000, a.ended - a.invoked) for a in run.attempts if a.side == side
                    and kind == ("failed" if not a.ok else "stale" if (a.process, a.invoked) in stale else "ok")]
            if dots:
                x, y = zip(*dots, strict=True)
                ax.plot(x, y, "o", ms=2.8 if kind == "ok" else 3.5, color=color, mew=0, label=kind)
        above = ax.get_xaxis_transform()
        if run.partition:
            start, stop = run.partition.start / 1000, min(run.partition.heal, run.duration) / 1000
            shade(ax, start, stop)
            ax.text((start + stop) / 2, 0.985, "partition", ha="center", va="top", fontsize=8, color="#777777",
                    transform=above)
        log_axes(ax)
        top = 30 * run.workload.timeout         # no call takes longer than the time-out: room for the names
        ax.set(xlim=(0, run.duration / 1000), ylim=(0.3, top), xlabel="time (s)", ylabel="latency (ms)")
        ax.set_title(f"clients on the {side} side")
    for text, place, color in (("answered", 0.02, COLORS["goodput"]), ("stale", 0.24, COLORS["attempts"]),
                               ("failed", 0.38, WRONG)):
        axes[0].text(place, 0.86, text, color=color, transform=axes[0].transAxes, fontsize=8.5, fontweight="bold")


def staleness(axes: Sequence[Axes], got: Staleness, span: float) -> None:
    """Left: the share of stale reads against the wait after a commit, 0 to `span` ms, with one standard error each way.

    On a logarithmic axis, where 99.9 % fresh can be seen. Right: what it costs, the latency of reads and writes by
    percentile.
    """
    left, right = axes
    t = np.linspace(0, span, 200)
    stale, error = 1 - got.p_fresh(t), got.p_error(t)
    left.fill_between(t, np.maximum(stale - error, 1e-5), stale + error, color=COLORS["simulated"], alpha=0.25, lw=0)
    left.plot(t, np.where(stale > 0, stale, np.nan), color=COLORS["simulated"])
    label(left, 0.3 * span, 0.4, "stale reads" if stale.any() else "no stale read, however short the wait",
          COLORS["simulated"], ha="left" if stale.any() else "center")
    left.axhline(0.001, color="black", lw=0.8)
    low, high = got.t_interval()
    if high:
        left.plot([low, high], [6e-5, 6e-5], "|-", color=COLORS["attempts"], ms=8)
        label(left, low - 0.03 * span, 6e-5, "95 % interval", COLORS["attempts"], ha="right", va="center")
    label(left, 0.02 * span, 0.001, "99.9 % are fresh", "black", va="top")
    log_axes(left)
    left.set(xlim=(0, span), ylim=(3e-5, 1.5), xlabel="wait after the commit (ms)", ylabel="share of stale reads")
    shares = np.array([0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999])
    for name, times, color in (("reads", got.read, "simulated"), ("writes", got.write, "attempts")):
        latency = np.quantile(times, shares)
        right.plot(1 / (1 - shares), latency, "o-", color=COLORS[color], ms=3)
        label(right, 100, latency[6], name, COLORS[color])
    log_axes(right, x=True)
    right.set(xlim=(1, 1200), ylim=(0.1, 4000), ylabel="latency (ms)", xlabel="share of the calls")
    right.set_xticks([2, 10, 100, 1000], ["50 %", "90 %", "99 %", "99.9 %"])


def pacelc(axes: Sequence[Axes], settings: Sequence[Mapping[str, Any]], top: float) -> None:
    """One dot a setting, reads left and writes right: latency without a partition against availability during one.

    settings: each has name, violations (share of histories that are not linearizable), and for both kinds of call
    `read` and `write` (ms) and `read available` and `write available` (0 to 1). top: ms shown.
    """
    for ax, kind in zip(axes, ("read", "write"), strict=True):
        near = beside(ax, 6, 3)
        for row in sorted(settings, key=lambda row: float(row["violations"])):      # where two meet, both are seen
            bad = float(row["violations"])
            color = COLORS["goodput"] if bad == 0 else WRONG if bad > 0.5 else COLORS["attempts"]
            x, y = row[kind], row[f"{kind} available"]
            ax.plot(x, y, "o", color=color, ms=9 if bad == 0 else 5)
            label(ax, x, y, row["name"], "#222222", near, fontsize=7.5, fontweight="normal")
        ax.set(xlim=(0, top), ylim=(-0.1, 1.18), xlabel=f"mean latency of a {kind}, no partition (ms)")
    axes[0].set_ylabel("availability in a partition (share of calls)")
    for text, y, color in (("no violation found", 0.4, COLORS["goodput"]), ("in most histories", 0.24, WRONG),
                           ("in some histories", 0.32, COLORS["attempts"])):
        label(axes[0], 0.98, y, text, color, axes[0].transAxes, ha="right")
