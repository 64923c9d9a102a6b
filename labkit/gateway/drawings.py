"""The drawings of the gateway's notebooks: routers, budgets, one trace, one incident, a storm, two logarithms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import shorten

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from labkit.course.diagrams import shade
from labkit.course.figures import COLORS, end_label, from_zero, label, log_axes, room_for_ends


def routes(axes: Axes, curves: Mapping[str, pd.DataFrame], cost: bool = False) -> str:
    """Cost-quality curves of routers (`routing.Evaluation.curve`): quality against the share sent to the strong model,
    or against cost. Random routing is the straight line between the ends."""
    first, told = next(iter(curves.values())), []
    palette = [COLORS["simulated"], COLORS["attempts"], COLORS["goodput"], COLORS["real"], COLORS["waiting"]]
    x = "cost" if cost else "share"
    axes.plot([first[x].iloc[0], first[x].iloc[-1]], [first.quality.iloc[0], first.quality.iloc[-1]], ":",
              color=COLORS["theory"], lw=1)
    middle = len(first) // 2
    label(axes, float(first[x].iloc[middle]), float(first.quality.iloc[[0, -1]].mean()), "random", COLORS["theory"],
          fontsize=8)
    for i, (name, curve) in enumerate(curves.items()):
        axes.plot(curve[x], curve.quality, color=palette[i % len(palette)])
        at = int(len(curve) * (0.25 + 0.14 * i))
        label(axes, curve[x].iloc[at], curve.quality.iloc[at] + 0.004, name, palette[i % len(palette)], ha="right")
        told.append(f"{name} {np.interp(0.5, curve.share, curve.quality):.3f}")
    axes.set(xlabel="cost ($ per 1,000 prompts)" if cost else "share sent to the strong model",
             ylabel="share answered right")
    return "right with half the prompts sent to the strong model: " + ", ".join(told)


def spent(axes: Axes, name: str, cap: int, billed: Sequence[int], believed: Sequence[int], held: Sequence[int]) -> str:
    """What a budget let through: a dot per seed for what was billed, what the book says, and what is stuck; the cap."""
    rows = [("billed", billed, COLORS["wasted"] if max(billed) > cap else COLORS["goodput"]),
            ("in the book", believed, COLORS["simulated"]), ("still held", held, COLORS["waiting"])]
    for lane, (_, values, color) in enumerate(rows):
        axes.plot(np.asarray(values) / cap, np.full(len(values), lane), "o", color=color, alpha=0.7)
    axes.axvline(1.0, color=COLORS["theory"], lw=1)
    label(axes, 1.02, 2.42, "cap", COLORS["theory"], fontsize=8)
    axes.set(yticks=[0, 1, 2], yticklabels=[row[0] for row in rows], ylim=(2.6, -0.6), xlabel="share of the cap",
             xlim=(0, max(1.3, max(billed) / cap * 1.08)))
    return (f"{name}: billed {np.mean(billed) / cap:.2f} of the cap (worst {max(billed) / cap:.2f}), in the book "
            f"{np.mean(believed) / cap:.2f}, still held {np.mean(held) / cap:.2f}")


def waterfall(axes: Axes, trace: pd.DataFrame) -> str:
    """One trace: a bar per part, in ms since its beginning. trace: rows with name, start_ns, end_ns, level, message."""
    begun, told = int(trace.start_ns.min()), []
    for lane, row in enumerate(trace.sort_values("start_ns").to_dict("records")):
        start, end = (row["start_ns"] - begun) / 1e6, (row["end_ns"] - begun) / 1e6
        color = {"ERROR": COLORS["wasted"], "WARNING": COLORS["attempts"]}.get(row["level"], COLORS["simulated"])
        axes.barh(lane, max(end - start, 0.2), left=start, color=color, height=0.6)
        said = f"{row['name']}, {end - start:.0f} ms" + (f": {row['message']}" if row["message"] else "")
        label(axes, start, lane - 0.36, shorten(said, 84, placeholder=" ..."), color, fontsize=8)
        told.append(said)
    axes.set(yticks=[], ylim=(len(trace) - 0.4, -1.0), xlabel="since it came (ms)")
    from_zero(axes, x=True, y=False)
    axes.grid(axis="y", visible=False)
    return "; ".join(told)


def series(axes: Axes, table: pd.DataFrame, unit: str, shade_from: float | None = None) -> str:
    """Lines over seconds (the index), one per column, labelled at their ends; says the last value of each."""
    palette = [COLORS["simulated"], COLORS["attempts"], COLORS["goodput"], COLORS["real"], COLORS["waiting"]]
    for i, name in enumerate(table.columns):
        axes.plot(table.index, table[name], color=palette[i % len(palette)])
        end_label(axes, float(table.index[-1]), float(table[name].iloc[-1]), name, palette[i % len(palette)])
    if shade_from is not None:
        axes.axvline(shade_from, color="#777777", ls=":", lw=0.9)
    axes.set(xlabel="time (s)", ylabel=unit)
    room_for_ends(axes, float(table.index[0]), float(table.index[-1]), 0.28)
    from_zero(axes)
    axes.set_ylim(0, max(0.1, axes.get_ylim()[1]))      # longer numbers at the axis would push its label off the canvas
    return "; ".join(f"{name} {table[name].iloc[-1]:.3g}" for name in table.columns)


def storm(axes: Axes, tables: Mapping[str, pd.DataFrame], start: float, stop: float) -> str:
    """Clients who got an answer in time, per second, against those who came; the spike shaded."""
    first, told = next(iter(tables.values())), []
    axes.axvspan(start, stop, color="#E4E4E4", lw=0)
    axes.plot(first.arrivals.rolling(3, 1, center=True).mean(), color=COLORS["offered"], lw=1)
    label(axes, stop, float(first.arrivals.max()) * 0.9, " clients who come", COLORS["offered"])
    for i, (name, table) in enumerate(tables.items()):
        color = (COLORS["wasted"], COLORS["goodput"], COLORS["simulated"])[i % 3]
        axes.plot(table.answered.rolling(3, 1, center=True).mean(), color=color)
        end_label(axes, len(table) - 1, float(table.answered.iloc[-2:].mean()), name, color)
        told.append(f"{name}: {table.answered.iloc[-6:].sum() / max(1, table.arrivals.iloc[-6:].sum()):.0%} answered "
                    "in the last 6 s")
    axes.set(xlabel="time (s)", ylabel="clients per second, answered")
    room_for_ends(axes, 0, len(first) - 1)
    from_zero(axes)
    return "; ".join(told)


def against(axes: Axes, x: npt.ArrayLike, curves: Mapping[str, npt.ArrayLike], here: float, xlabel: str,
            ylabel: str) -> None:
    """Curves on two logarithmic axes, each labelled at its right end, and a line where the slider stands."""
    palette = [COLORS["simulated"], COLORS["wasted"], COLORS["attempts"], COLORS["goodput"], COLORS["real"]]
    xs = np.asarray(x, float)
    for i, (name, y) in enumerate(curves.items()):
        axes.plot(xs, np.asarray(y), color=palette[i % len(palette)])
        end_label(axes, xs[-1], float(np.asarray(y)[-1]), name, palette[i % len(palette)], fontsize=8)
    axes.axvline(here, color="#777777", lw=0.8, ls=":")
    log_axes(axes, x=True)
    axes.yaxis.set_minor_formatter(NullFormatter())
    room = 0.04 + 0.017 * max(len(name) for name in curves)            # on the right, in widths of the data
    every = np.log10(np.concatenate([np.asarray(y, float) for y in curves.values()]))
    axes.set(xlabel=xlabel, ylabel=ylabel, xlim=(xs[0], xs[-1] * (xs[-1] / xs[0]) ** room),
             ylim=(10 ** np.floor(every.min()), 10 ** np.ceil(every.max() + 0.01)))


def breaker(axes: Axes, table: pd.DataFrame, title: str, down: tuple[float, float]) -> None:
    """The state of a circuit breaker over time (columns time, state); the engine is down in the shaded part."""
    shade(axes, *down, "the engine is down")
    states = ["closed", "half open", "open"]
    axes.step(table.time, table.state.map(states.index), where="post", color=COLORS["simulated"])
    axes.set(title=title, yticks=[0, 1, 2], yticklabels=states, ylim=(-0.2, 2.6), xlabel="time (s)")


def histogram(axes: Axes, values: npt.NDArray[np.float64], bounds: npt.NDArray[np.float64],
              found: Mapping[float, tuple[float, float]]) -> None:
    """Times to first token in Prometheus' buckets; for each quantile what the histogram says, and what is true."""
    edges = np.concatenate([[0.01], bounds[bounds > 0.01], [max(values.max(), bounds[-1] * 1.1)]])
    counts = np.asarray(axes.hist(values, edges.tolist(), color="#56B4E9", edgecolor="white")[0])
    label(axes, edges[int(np.argmax(counts))], counts.max(), "requests", "#56B4E9")
    for q, (said, true) in found.items():
        for x, style, name, color in ((true, "-", "true", "black"), (said, "--", "said", "#D55E00")):
            axes.axvline(x, color=color, lw=1.5, ls=style)
            label(axes, x, counts.max() * (0.8 + 0.5 * q), f" p{q * 100:.0f} {name} ", color, fontsize=8,
                  ha="right" if name == "true" else "left")
    log_axes(axes, x=True, y=False)
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, counts.max() * 1.5), xlabel="time to first token (s)",
             ylabel="requests per bucket")


def queue(axes: Axes, waits: npt.NDArray[np.float64], patience: float, limit: int, safe: int) -> None:
    """When each place of a queue is answered, and which of them are served after they have left."""
    axes.plot(waits, color="#56B4E9")
    label(axes, len(waits) - 1, waits[-1], "answered", "#56B4E9", ha="right")
    axes.axhline(patience, color="black", lw=1)
    label(axes, 0, patience, "patience", "black")
    late = np.maximum(waits[:limit + 1], patience)
    axes.fill_between(range(limit + 1), late, patience, color="#D55E00", alpha=0.4)
    if limit > safe:
        label(axes, limit, waits[limit], "served in vain", "#D55E00", ha="right")
    axes.set(xlabel="place in the queue", ylabel="answered after (s)")
