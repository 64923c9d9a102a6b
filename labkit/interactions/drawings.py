"""Drawings of part 4: a medium's matrix, the study's intervals, a coin against data, settings that do not fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from labkit.course.figures import COLORS, inside, label
from labkit.interactions.judge import VERDICTS
from labkit.interactions.matrix import Matrix
from labkit.interactions.study import Count

MEANING = {"same": "goodput", "type_changed": "waiting", "silent_loss": "wasted", "read_error": "attempts",
           "refused": "offered"}


ROWS = 24       # more would be too small to read


def medium(axes: Axes, matrix: Matrix, medium: str) -> None:
    """One row per ordered pair, a stacked bar of verdicts; silent losses are written out.

    Where there are more pairs than can be read, those that lose most.
    """
    chosen = matrix.select(medium=medium)
    counts = {pair: chosen.select(writer=pair[1], reader=pair[2]).counts() for pair in chosen.pairs()}
    worst = sorted(counts, key=lambda pair: -counts[pair]["silent_loss"])[:ROWS]
    shown = [pair for pair in counts if pair in worst]
    for row, pair in enumerate(shown):
        left = 0
        for verdict in (verdict for verdict in VERDICTS if counts[pair][verdict]):
            axes.barh(row, counts[pair][verdict], left=left, color=COLORS[MEANING[verdict]], height=0.8)
            left += counts[pair][verdict]
        axes.text(left + 0.5, row, f"{counts[pair]['silent_loss']}", color=COLORS["wasted"], va="center",
                  fontsize=7.5, fontweight="bold")
    for x, (verdict, meaning) in zip((0, 9, 25, 39, 54), MEANING.items(), strict=True):
        label(axes, x, -0.6, verdict.replace("_", " "), COLORS[meaning], fontsize=8)
    axes.set_yticks(range(len(shown)), [f"{writer} -> {reader}" for _, writer, reader in shown])
    axes.tick_params(axis="y", labelsize=7)
    part = "" if len(shown) == len(counts) else f"; the {ROWS} of {len(counts)} pairs that lose most"
    axes.set(ylim=(len(shown) - 0.4, -0.085 * len(shown) - 0.6), xlim=(0, 74), xlabel=f"cases{part}")
    axes.grid(visible=False)


def case_grid(axes: Axes, matrix: Matrix, medium: str, case: str) -> None:
    """Writers down, readers across, one colour a cell: what became of one case."""
    cells = matrix.select(medium=medium, case=case).cells
    writers = list(dict.fromkeys(cell.writer for cell in cells))
    readers = list(dict.fromkeys(cell.reader for cell in cells))
    found = {(cell.writer, cell.reader): cell for cell in cells}
    for row, writer in enumerate(writers):
        for column, reader in enumerate(readers):
            cell = found.get((writer, reader))
            verdict = cell.verdict if cell else "refused"
            axes.barh(row, 0.94, left=column - 0.47, height=0.9, color=COLORS[MEANING[verdict]])
            inside(axes, column - 0.47, column + 0.47, row, [verdict.replace("_", " ")], "white", fontsize=7.5)
    axes.set_yticks(range(len(writers)), [f"{writer} writes" for writer in writers])
    axes.set_xticks(range(len(readers)), readers)
    axes.set(xlim=(-0.6, max(len(readers), 1) - 0.4), ylim=(max(len(writers), 1) - 0.4, -0.6))
    axes.grid(visible=False)


def intervals(axes: Axes, counts: Sequence[Count]) -> None:
    """Shares as points with their 95 % intervals."""
    for row, count in enumerate(counts):
        low, high = count.interval
        axes.plot([100 * low, 100 * high], [row, row], color=COLORS["simulated"], lw=2)
        axes.plot(100 * count.share, row, "o", color=COLORS["simulated"])
        axes.text(101, row, f"{count.count} of {count.of}", fontsize=8, va="center")
    axes.set_yticks(range(len(counts)), [count.what for count in counts])
    axes.set(xlim=(0, 100), ylim=(len(counts) - 0.5, -0.5), xlabel="share (%), with 95 % interval (Wilson)")


def rates(axes: Axes, names: Sequence[str], coin: Sequence[float], loud: Sequence[float],
          silent: Sequence[float]) -> None:
    """Per scenario: the coin's rate as a mark, the data's as bars, loud and silent apart."""
    rows = np.arange(len(names))
    axes.barh(rows, 100 * np.asarray(loud), 0.6, color=COLORS["attempts"])
    axes.barh(rows, 100 * np.asarray(silent), 0.6, left=100 * np.asarray(loud), color=COLORS["wasted"])
    axes.plot(100 * np.asarray(coin), rows, "|", color="black", ms=20, mew=2)
    axes.set_yticks(rows, list(names))
    axes.set(xlim=(0, 101), ylim=(len(names) - 0.5, -1.1),
             xlabel="records that fail (%)")
    for x, text, meaning in ((60, "loudly", "attempts"), (74, "silently", "wasted"), (88, "| the coin", "theory")):
        label(axes, x, -0.62, text, COLORS[meaning], fontsize=8)
