"""The drawings of the engine's notebooks: a step taken apart, tokens as they come, three tellings of one curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle

from labkit.course.figures import COLORS, from_zero, label, log_axes
from labkit.inference import roofline
from labkit.inference.twin.blocks import BlockPool


def arrivals(axes: Axes, answers: Mapping[str, Sequence[float]]) -> str:
    """When each token came, in ms after sending, a lane per answer; says first and middle gap of each."""
    text = []
    for lane, (name, times) in enumerate(answers.items()):
        ms = np.asarray(times) * 1000
        axes.plot(ms, np.full(len(ms), lane), "|", ms=16, color=COLORS["real"])
        axes.plot([0, ms[0]], [lane, lane], color=COLORS["waiting"], lw=5, solid_capstyle="butt")
        label(axes, 0, lane - 0.34, name, "#333333", fontsize=8)
        text.append(f"{name}: first after {ms[0]:.0f} ms, then every {np.median(np.diff(ms)):.1f} ms")
    label(axes, 0, -0.75, "until the first token", COLORS["waiting"], fontsize=8)
    last = 1000 * max(times[-1] for times in answers.values())
    label(axes, last, -0.75, "a token", COLORS["real"], fontsize=8, ha="right")
    axes.set(yticks=[], ylim=(len(answers) - 0.4, -1.25), xlabel="after sending (ms)")
    from_zero(axes, x=True, y=False)
    axes.grid(axis="y", visible=False)
    return "; ".join(text)


def step_parts(axes: Axes, model: str, gpu: str, batch: int, context: int, quantization: str) -> None:
    """The time of one decode step: reading weights, keys and values, and, beside them, the arithmetic."""
    weights, kv, work = _parts(model, gpu, batch, context, quantization)
    end = max(weights + kv, work)
    axes.barh(1, weights, color=COLORS["simulated"], height=0.55)
    axes.barh(1, kv, left=weights, color=COLORS["waiting"], height=0.55)
    axes.barh(0, work, color=COLORS["attempts"], height=0.55)
    axes.set(yticks=[0, 1], yticklabels=["arithmetic", "reading"], ylim=(-0.6, 1.75), xlim=(0, end * 1.12),
             xlabel="time of one decode step, at least (ms)")
    label(axes, 0, 1.32, f"weights {weights:.1f} ms", COLORS["simulated"])
    label(axes, end * 0.45, 1.32, f"keys and values {kv:.1f} ms", COLORS["waiting"])
    axes.grid(axis="y", visible=False)


def step_summary(model: str, gpu: str, batch: int, context: int, quantization: str) -> str:
    """The same in words: the bound, what sets it, and whether so much context fits."""
    weights, kv, work = _parts(model, gpu, batch, context, quantization)
    bound = roofline.decode_bound(model, gpu, batch, context, quantization)
    room, limit = roofline.kv_tokens(model, gpu, quantization=quantization), "reading" if weights + kv > work else \
        "arithmetic"
    fits = "fits" if room >= batch * context else f"does NOT fit (room for {room:,})"
    return (f"{model} {quantization} on {gpu}: {bound:,.0f} tokens/s at most, {bound / batch:.1f} per caller, limited "
            f"by {limit}; {batch * context:,} tokens of context: {fits}")


def _parts(model: str, gpu: str, batch: int, context: int, quantization: str) -> list[float]:
    """Milliseconds of a decode step: reading weights, reading keys and values, arithmetic."""
    return [1000 * part for part in roofline.step_seconds(model, gpu, batch, context, quantization)]


def three_ways(axes: Axes, batches: Sequence[int], bound: Sequence[float], twin: Sequence[float],
               real: Sequence[float] = (), real_name: str = "real engine") -> str:
    """Tokens/s against batch size: formula, simulation and, where there is one, the real engine."""
    axes.plot(batches, bound, color=COLORS["theory"], lw=1.2)
    axes.plot(batches, twin, color=COLORS["simulated"])
    label(axes, batches[0], bound[0] * 1.3, "bound", COLORS["theory"])
    label(axes, batches[-1], twin[-1] * 0.8, "twin", COLORS["simulated"], ha="right", va="top")
    if len(real):
        axes.plot(batches, real, "o", color=COLORS["real"])
        label(axes, batches[0], real[0] * 0.72, f"{real_name}, measured", COLORS["real"], va="top")
    axes.set(xscale="log", yscale="log", xlabel="callers at once", ylabel="tokens/s, all together")
    axes.set_xticks(batches, [str(n) for n in batches])
    axes.minorticks_off()
    told = [f"{n} callers: at most {b:,.0f}, twin {t:.0f}" for n, b, t in zip(batches, bound, twin, strict=True)]
    return "; ".join(line + (f", {real_name} {real[i]:.0f}" if len(real) else "") for i, line in enumerate(told))


def waits(axes: Axes, table: pd.DataFrame, deadline: float) -> str:
    """TTFT of each request against its arrival; those after `deadline` s in the colour of waste."""
    late = table.ttft > deadline
    for some, name, meaning in ((~late, f"within {deadline:g} s", "goodput"), (late, "later", "wasted")):
        if some.any():
            axes.plot(table.arrival[some], table.ttft[some], ".", color=COLORS[meaning])
            label(axes, float(table.arrival[some].iloc[0]), float(table.ttft[some].max()), name, COLORS[meaning])
    axes.axhline(deadline, color="#777777", lw=0.8, ls=":")
    log_axes(axes)
    # in quarters of a power of ten, so that a small move of a slider does not move the axis
    low, high = np.floor(4 * np.log10(table.ttft.min()) - 0.2), np.ceil(4 * np.log10(table.ttft.max()) + 1.2)
    axes.set(ylim=(10 ** (low / 4), max(10.0, 10 ** (high / 4))), xlabel="arrival (s)",
             ylabel="time to first token (s)")
    return f"{len(table)} requests, {late.mean():.0%} wait more than {deadline:g} s for their first token"


def pool(axes: Axes, blocks: BlockPool, across: int = 20) -> str:
    """Every block as a square: in use, free but remembered, or free; says how many of each."""
    colors = {"used": COLORS["simulated"], "kept": COLORS["waiting"], "free": "#C4C4C4"}
    state = ["used" if blocks.users[i] else "kept" if blocks.holds[i] else "free" for i in range(blocks.size)]
    squares = [Rectangle((i % across, i // across), 0.9, 0.9) for i in range(blocks.size)]
    axes.add_collection(PatchCollection(squares, facecolors=[colors[kind] for kind in state], linewidths=0))
    rows = -(-blocks.size // across)
    for x, text, kind in ((0.0, "blocks in use", "used"), (0.38, "remembered", "kept"), (0.76, "free", "free")):
        label(axes, x, 1.0, text, "#777777" if kind == "free" else colors[kind], axes.transAxes, va="top")
    axes.set(xlim=(-0.2, across), ylim=(rows + 0.1, -0.16 * rows), xticks=[], yticks=[])
    axes.grid(visible=False)
    return ", ".join(f"{state.count(kind)} blocks {kind}" for kind in colors)


def probabilities(axes: Axes, names: Sequence[str], chances: npt.ArrayLike, kept: npt.ArrayLike) -> None:
    """Chances of the next token; those cut off by top-p in grey."""
    p, keep = np.asarray(chances), np.asarray(kept)
    axes.bar(range(len(p)), p, color=[COLORS["simulated"] if k else "#CCCCCC" for k in keep])
    axes.set_xticks(range(len(p)), names, rotation=30, ha="right")
    if not keep.all():
        label(axes, float(np.argmin(keep)), float(p[~keep].max()), "cut off", "#777777", ha="center")
    axes.set(ylim=(0, 1.02), ylabel="chance of being next")


def trade(axes: Axes, x: npt.ArrayLike, curves: Mapping[str, npt.ArrayLike], here: float, xlabel: str,
          ylabel: str) -> None:
    """Curves over one axis, labelled in their middle, and a line where the slider stands."""
    colors = [COLORS["simulated"], COLORS["goodput"], COLORS["attempts"], COLORS["real"]]
    xs = np.asarray(x, dtype=float)
    for i, (name, y) in enumerate(curves.items()):
        axes.plot(xs, np.asarray(y), color=colors[i])
        at = len(xs) // 2
        label(axes, xs[at], float(np.asarray(y)[at]), name, colors[i], ha="left" if i else "right")
    axes.axvline(here, color="#777777", lw=0.8, ls=":")
    axes.set(xlabel=xlabel, ylabel=ylabel)
