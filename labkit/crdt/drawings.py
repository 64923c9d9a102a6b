"""Drawings of part 3: counterexamples, gossip in space and time, metadata, trees of text, shops and offices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from labkit.course import figures
from labkit.course.figures import COLORS, Picture, from_zero, label, picture, round_up, shade, space_time
from labkit.crdt.calendar import OFFICES, Day
from labkit.crdt.costs import Growth
from labkit.crdt.gossip import GossipRun
from labkit.crdt.laws import FailingScript
from labkit.crdt.specification import Step
from labkit.crdt.stock import Sales
from labkit.crdt.text import Text


# ------------------------------------------------------------------------------------------------ scripts
def script(axes: Axes, steps: Sequence[Step | tuple[str, str, Any]], replicas: Sequence[str] = "ABC",
           wrong: str = "") -> None:
    """A script as a space-time diagram: updates as dots, merges as arrows; `wrong` is written at the end."""
    events, messages = [], []
    for time, (kind, replica, argument) in enumerate(steps, 1):
        if kind == "sync":
            messages.append((argument, time - 0.4, replica, float(time), False))
        else:
            events.append((replica, float(time), f"{kind} {argument}"))
    named = [name for name in replicas if any(name in step[1:] for step in steps)]
    space_time(axes, named, events, messages, unit="step")
    if wrong:
        axes.set_title(wrong, color=COLORS["wasted"])


def counterexample(found: FailingScript) -> Picture:
    """The failure drawn; its text is the script."""
    def draw(axes: Axes) -> str:
        script(axes, found.steps, found.replicas, str(found).rpartition("-> ")[2])
        return str(found)

    return picture(draw, size=(6.4, 0.9 + 0.55 * len(found.replicas)))


# ------------------------------------------------------------------------------------------------ gossip
def gossip(axes: Sequence[Axes], run: GossipRun, until: float) -> None:
    """Above: who was updated and who told whom when; below: how many different states there were."""
    _messages(axes[0], run, until)
    _divergence(axes[1], run, until)


def _messages(axes: Axes, run: GossipRun, until: float) -> None:
    lane = {state.replica: i for i, state in enumerate(run.states)}
    shown = [m for m in run.messages if m.sent <= until]
    for lost, color in ((False, COLORS["waiting"]), (True, COLORS["wasted"])):
        lines = [((m.sent, lane[m.source]), (m.received, lane[m.target])) for m in shown if m.lost is lost]
        axes.add_collection(LineCollection(lines, colors=color, linewidths=0.9, alpha=0.8,
                                           linestyles="--" if lost else "-"))
    came = [m for m in shown if not m.lost]
    axes.plot([m.received for m in came], [lane[m.target] for m in came], ".", color=COLORS["waiting"], ms=4)
    updates = [u for u in run.updates if u.time <= until]
    axes.plot([u.time for u in updates], [lane[u.replica] for u in updates], "o", color=COLORS["simulated"], ms=4.5)
    if run.converged_at is not None and run.converged_at <= until:
        axes.axvline(run.converged_at, color=COLORS["goodput"], lw=2)
    axes.set_yticks(range(len(lane)), list(lane))
    for x, text, meaning in ((0.3, "updates", "simulated"), (0.5, "messages", "waiting"), (0.7, "lost", "wasted")):
        if text != "lost" or any(m.lost for m in shown):
            label(axes, x * until, -0.75, text, COLORS[meaning], fontsize=8, va="center")
    axes.set(xlim=(0, until), ylim=(len(lane) - 0.5, -1.1), xlabel="time (s)")


def _divergence(axes: Axes, run: GossipRun, until: float) -> None:
    time, count = np.array([point for point in run.divergence if point[0] <= until] or [(0.0, 1)]).T
    axes.step(time, count, where="post", color=COLORS["wasted"])
    label(axes, time[len(time) // 2], count[len(time) // 2], "different states", COLORS["wasted"])
    if run.converged_at is not None and run.converged_at <= until:
        axes.axvline(run.converged_at, color=COLORS["goodput"], lw=2)
        label(axes, run.converged_at, 0.9 * max(count), f" equal {run.converged_at:.1f} s", COLORS["goodput"],
              ha="left" if run.converged_at < until * 0.6 else "right")
    axes.axvline(run.last_operation, color="#777777", lw=1, ls=":")
    label(axes, run.last_operation, 6.5, " last update", "#777777", fontsize=8, fontweight="normal")
    axes.set(xlim=(0, until), xlabel="time (s)", ylabel="different states")
    from_zero(axes)


def assumptions(axes: Axes, table: Mapping[str, Mapping[str, float]], title: str = "") -> None:
    """The table of ways against faults: share of runs that ended equal, in three colours."""
    ways, faults = list(table), list(next(iter(table.values())))
    cells = [[f"{table[way][fault]:.0%}" for fault in faults] for way in ways]
    colors = {cell: COLORS["goodput"] if cell == "100%" else COLORS["wasted"] if cell == "0%" else COLORS["attempts"]
              for row in cells for cell in row}
    figures.matrix(axes, ways, faults, cells, colors)
    axes.set_title(title)


def both_assumptions(axes: Sequence[Axes], tables: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """`assumptions` for several kinds of type, one below the other; the text has each way's shares in order."""
    said = []
    for part, (kind, table) in zip(axes, tables.items(), strict=True):
        assumptions(part, table, f"{kind}: runs that end equal")
        rows = "; ".join(f"{way} {' '.join(f'{x:.0%}' for x in row.values())}" for way, row in table.items())
        said.append(f"{kind}: {rows}")
    return " | ".join(said)


# ------------------------------------------------------------------------------------------------ bills
GROWTH_COLORS = {"ORSet": "wasted", "ORSet, collected": "attempts", "ORSWOT": "goodput"}


def growth(axes: Sequence[Axes], run: Growth, away: tuple[int, int] | None = None) -> None:
    """Tombstones on the left, bytes on the right, against operations; grey while a replica is away."""
    tombs, size = axes
    for name, counts in run.tombstones.items():
        tombs.plot(run.operations, counts, color=COLORS[GROWTH_COLORS[name]])
        label(tombs, run.operations[-1], counts[-1], name, COLORS[GROWTH_COLORS[name]], ha="right")
    tombs.plot(run.operations, run.live, color=COLORS["simulated"], ls=":")
    label(tombs, run.operations[len(run.live) // 2], run.live[len(run.live) // 2], "live items", COLORS["simulated"])
    for name, sizes in run.size.items():
        size.plot(run.operations, sizes, color=COLORS[GROWTH_COLORS[name]])
        label(size, run.operations[-1], sizes[-1], name, COLORS[GROWTH_COLORS[name]], ha="right")
    if away:
        shade(tombs, *away, "one replica away")
        shade(size, *away)
    tombs.set(xlabel="operations", ylabel="tombstones, items", xlim=(0, run.operations[-1]),
              ylim=(0, 1.15 * max(map(max, (run.live, *run.tombstones.values())))))
    size.set(xlabel="operations", ylabel="bytes a replica", xlim=(0, run.operations[-1]),
             ylim=(0, 1.15 * max(map(max, run.size.values()))))


# ------------------------------------------------------------------------------------------------ text
def tree(axes: Axes, text: Text) -> None:
    """The tree of a short text: reading order from left to right, depth downwards; deleted characters in grey."""
    nodes = text.nodes()
    column = {node.id: i for i, node in enumerate(nodes)}
    depth: dict[Any, int] = {None: 0}
    owners = sorted({str(node.id[1]) for node in nodes})
    palette = [COLORS["simulated"], COLORS["attempts"], COLORS["real"], COLORS["goodput"]]
    for node in sorted(nodes):                                  # by Lamport time: parents come first
        x, y = column[node.id], depth.setdefault(node.id, depth[node.parent] + 1)
        if node.parent is not None:
            axes.plot([x, column[node.parent]], [y, depth[node.parent]], color="#AAAAAA", lw=1, zorder=1)
        color = "#8C8C8C" if node.deleted else palette[owners.index(str(node.id[1])) % 4]
        axes.plot(x, y, "o", ms=15, color=color, zorder=2)
        axes.text(x, y, node.character, color="white", ha="center", va="center_baseline", fontweight="bold", zorder=3)
    for i, owner in enumerate(owners):
        first = min((node for node in nodes if str(node.id[1]) == owner), key=lambda node: column[node.id])
        label(axes, column[first.id] + 0.4, depth[first.id] - 0.25, owner, palette[i % 4], fontsize=8)
    axes.set(xlim=(-0.7, max(len(nodes), 2) - 0.3), ylim=(max(depth.values()) + 0.7, 0.3), yticks=[], xticks=[])
    axes.grid(visible=False)


def letters(axes: Axes, text: str) -> None:
    """At most 16 letters in boxes, small ones in one colour and capitals in another: two authors' runs."""
    for i, letter in enumerate(text):
        color = COLORS["simulated" if letter.islower() else "attempts"]
        axes.text(i, 0, letter, ha="center", va="center", fontsize=13, weight="bold", color="white",
                  bbox={"facecolor": color, "lw": 0, "pad": 5})
    axes.set(xlim=(-1, 16), ylim=(-1, 1), xticks=[], yticks=[])


def say_runs(text: str) -> str:
    """Into how many pieces the runs of small letters and of capitals were cut.

    >>> say_runs("abXYZc")
    'abXYZc: 3 pieces from 2 runs'
    """
    pieces = 1 + sum(a.islower() != b.islower() for a, b in pairwise(text))
    return f"{text}: {pieces} pieces from 2 runs"


# ------------------------------------------------------------------------------------------------ shops, offices
def stock(axes: Sequence[Axes], sales: Sales, partition: tuple[float, float] | None = None) -> None:
    """Left: the true stock over time, with zero marked; right: customers sent away although there was stock."""
    left, right = axes
    for part in axes:
        if partition and partition[1] > partition[0]:
            shade(part, *partition, "cut")
    time, count = np.array(sales.stock).T
    left.step(time, count, where="post", color=COLORS["simulated"])
    if sales.lowest < 0:
        left.fill_between(time, np.minimum(count, 0), 0, step="post", color=COLORS["wasted"])
    left.axhline(0, color="#777777", lw=0.8)
    low, high = min(0, *count.tolist()), max(count.tolist())
    left.set(xlabel="time (s)", ylabel="pieces in stock, all shops", xlim=(0, 60),
             ylim=(-round_up(max(20, -1.3 * low)), round_up(high)))
    label(left, 1, high, "true stock", COLORS["simulated"])
    if sales.lowest < 0:
        label(left, 58, low, f"{-sales.lowest} sold that were not there", COLORS["wasted"], ha="right", va="top")
    vain = np.array([(0, 0), *sales.vain, (60, sales.in_vain)]).T
    right.step(vain[0], vain[1], where="post", color=COLORS["attempts"])
    right.set(xlabel="time (s)", ylabel="customers sent away\nalthough there was stock", xlim=(0, 60),
              ylim=(-0.5, round_up(max(10, sales.in_vain))))


OUTCOMES = {"booked": "goodput", "taken": "offered", "no majority": "attempts", "double": "wasted"}


def day(axes: Axes, day: Day, partition: tuple[float, float] | None, away: str) -> None:
    """Each wish for a room at its office: booked, taken, no majority; a cross on the later of two that both believe."""
    if partition and partition[1] > partition[0]:
        shade(axes, *partition, f"{away} is cut off")
    held: set[Any] = set()
    for booking in day.bookings:
        double = booking.outcome == "booked" and booking.slot in held
        if booking.outcome == "booked":
            held.add(booking.slot)
        meaning = OUTCOMES["double" if double else booking.outcome]
        y = OFFICES.index(booking.office)
        axes.plot([booking.asked, booking.answered], [y, y], color=COLORS[meaning], lw=2)
        axes.plot(booking.asked, y, "X" if double else "o", color=COLORS[meaning], ms=9 if double else 6)
    counts = {"booked": day.count("booked") - day.double, "taken": day.count("taken"),
              "no majority": day.count("no majority"), "double": day.double}
    for i, (name, count) in enumerate(counts.items()):
        label(axes, 2 + 16 * i, 2.75, f"{count} {name}", COLORS[OUTCOMES[name]])
    axes.set_yticks(range(len(OFFICES)), OFFICES)
    axes.set(xlim=(0, 62), ylim=(3.0, -0.6), xlabel="time (s)")


# ------------------------------------------------------------------------------------------------ specifications
def meanings(axes: Sequence[Axes], result: tuple[Sequence[Step], Mapping[str, Sequence[Set[Any]]]]) -> None:
    """One history of at most six steps at A and B, and beside it what each specification shows there at its end."""
    done, views = result
    script(axes[0], done, "AB")
    axes[0].set_xlim(0, 6.6)
    axes[1].set(xlim=(0, 1), ylim=(len(views) + 0.2, -0.8), xticks=[], yticks=[])
    lines = [("", "A", "B"), *((name.replace("_", " "), _items(a), _items(b)) for name, (a, b) in views.items())]
    for row, line in enumerate(lines):
        for x, text in zip((0.02, 0.55, 0.8), line, strict=True):
            axes[1].text(x, row - 0.2, text, fontsize=10, weight="normal" if row else "bold")


def say_meanings(result: tuple[Sequence[Step], Mapping[str, Sequence[Set[Any]]]]) -> str:
    """The line of text for `meanings`: each specification with what it shows at A and at B."""
    return "; ".join(f"{name}: A {_items(a)}, B {_items(b)}" for name, (a, b) in result[1].items())


def _items(shown: Set[Any]) -> str:
    return "{" + ", ".join(sorted(map(str, shown))) + "}"


def verdicts(axes: Axes, table: Mapping[str, Mapping[str, FailingScript | None]]) -> str:
    """Which type (rows) keeps which specification (columns): "ok", or the steps of its shortest failure."""
    cells = [["ok" if found is None else f"{len(found)} steps" for found in row.values()] for row in table.values()]
    colors = {cell: COLORS["goodput" if cell == "ok" else "wasted"] for row in cells for cell in row}
    specs = [name.replace("_", " ") for name in next(iter(table.values()))]
    figures.matrix(axes, list(table), specs, cells, colors)
    return "; ".join(f"{name}: {', '.join(row)}" for name, row in zip(table, cells, strict=True))
