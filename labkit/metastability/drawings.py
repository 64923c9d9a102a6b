"""The drawings of part 1. Each draws one result and sets the same limits every time, so panels redraw fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from labkit.course.figures import COLORS, end_label, from_zero, label, room_for_ends, shade
from labkit.metastability import theory
from labkit.metastability.run import FATES, LATE, OK, Floats, Run

FATE_COLORS = {"ok": "goodput", "late": "wasted", "shed": "offered", "dropped": "offered", "waiting": "waiting",
               "error": "wasted"}


NAMES = {"attempts": "attempts sent", "late": "wasted work", "offered": "offered", "goodput": "goodput"}


def storm(axes: Axes, run: Run, hidden: bool = True) -> None:
    """Offered load, attempts, goodput and wasted work in each second; `hidden` marks the hidden capacity.

    Not smoothed: an average over three seconds hides a spike of one.
    """
    seconds = run.per_second
    time = seconds.index.to_numpy() + 0.5
    shade(axes, *run.disturbance, "trigger")
    for column, name in NAMES.items():
        color = COLORS["wasted" if column == "late" else column]
        axes.step(time, seconds[column], where="mid", color=color, lw=1.3)
        end_label(axes, run.duration, float(seconds[column].iloc[-5:].mean()), name, color)
    if hidden:
        tipping = theory.tipping_load(run.service, run.clients)
        axes.plot([0, run.duration], [tipping, tipping], color=COLORS["theory"], lw=1, ls=":")
        end_label(axes, run.duration, tipping, "hidden capacity", COLORS["theory"], fontweight="normal")
    axes.set(xlabel="time (s)", ylabel="per second")
    room_for_ends(axes, 0, run.duration)
    from_zero(axes)


def dashboard(axes: Axes, run: Run) -> None:
    """The success rate a server-side counter reports, and the share of users who got an answer in time."""
    time, reported, served = success_rates(run)
    shade(axes, *run.disturbance, "trigger")
    axes.plot(time, 100 * reported, color=COLORS["wasted"])
    axes.plot(time, 100 * served, color=COLORS["goodput"])
    label(axes, run.duration * 0.99, 100 * reported[-1], "what the server's counter says", COLORS["wasted"], ha="right")
    label(axes, run.duration * 0.99, 100 * served[-1], "users served, last 10 s", COLORS["goodput"], ha="right")
    axes.set(xlim=(0, run.duration), ylim=(0, 112), xlabel="time (s)", ylabel="percent")


def success_rates(run: Run) -> tuple[Floats, ...]:
    """Per second: time (s), the naive success rate so far, and goodput over offered load in the last 10 s.

    Naive: completions over completions plus requests given up on, counted from the start, late ones included.
    """
    seconds = run.per_second
    completed = np.cumsum((seconds["goodput"] + seconds["late"]).to_numpy(dtype=float))
    given_up = np.cumsum(np.bincount(last_tries(run).astype(int), minlength=len(seconds))[:len(seconds)])
    recent = np.ones(10)
    good = np.convolve(seconds["goodput"], recent)[:len(seconds)]
    offered = np.convolve(seconds["offered"], recent)[:len(seconds)]
    return (seconds.index.to_numpy() + 1.0, completed / np.maximum(completed + given_up, 1),
            np.minimum(1.0, good / np.maximum(offered, 1)))


def last_tries(run: Run) -> Floats:
    """When each request that failed for good was given up on, s."""
    gave_up = run.timed_out_at
    return np.asarray(gave_up[(run.number == run.clients.retries) & np.isfinite(gave_up)])


def one_request(axes: Axes, run: Run, request: int) -> None:
    """The attempts of one request: waiting in the queue, then served, against its client's patience."""
    mine = np.flatnonzero(run.request == request)
    for lane, attempt in enumerate(mine):
        start, end = run.started[attempt], min(run.ended[attempt], run.duration)
        axes.barh(lane, min(start, run.duration) - run.arrived[attempt], left=run.arrived[attempt], height=0.5,
                  color=COLORS["waiting"], lw=0)
        if np.isfinite(start):
            axes.barh(lane, end - start, left=start, height=0.5, lw=0,
                      color=COLORS[FATE_COLORS[FATES[run.fate[attempt]]]])
        axes.plot(run.sent[attempt] + run.clients.timeout, lane, "|", color="black", ms=16, mew=2)
    first, patience = run.arrived[mine[0]], run.sent[mine[0]] + run.clients.timeout
    label(axes, patience, -0.45, "| patience ends", COLORS["theory"], fontsize=8)
    label(axes, (first + run.duration) / 2, -0.3, "in the queue", COLORS["waiting"], fontsize=8)
    label(axes, run.duration, -0.3, "served, too late", COLORS["wasted"], fontsize=8, ha="right")
    axes.set_yticks(range(len(mine)), ["first try", *[f"retry {k}" for k in range(1, len(mine))]])
    axes.set_ylim(len(mine) - 0.4, -1.1)
    axes.set_xlabel("time (s)")
    axes.grid(axis="y", visible=False)


def outcomes(axes: Axes, goodputs: Sequence[float], offered: float) -> None:
    """End states over seeds as a histogram: two heaps and nothing between is bistability."""
    counts, edges, _ = axes.hist(goodputs, bins=np.linspace(0, 1.4 * offered, 29).tolist(), color=COLORS["simulated"])
    tall = int(np.argmax(counts))
    label(axes, edges[tall], float(np.max(counts)), f"simulated: {len(goodputs)} seeds", COLORS["simulated"])
    axes.axvline(float(np.mean(goodputs)), color=COLORS["theory"], ls="--", lw=1)
    label(axes, float(np.mean(goodputs)), axes.get_ylim()[1] * 0.9, " the average seed, which nobody met",
          COLORS["theory"], fontweight="normal")
    axes.set(xlim=(-0.5, 1.4 * offered), xlabel="goodput long after the trigger (1/s)", ylabel="seeds")


def phases(axes: Axes, limit: float, retries: Sequence[int], points: Mapping[str, Sequence[tuple[float, int]]]) -> None:
    """Load against retries: the two theory lines, and simulated points by their state."""
    rows = np.linspace(min(retries) - 0.4, max(retries) + 0.4, 100)
    axes.fill_betweenx(rows, limit / (1 + np.maximum(rows, 0)), limit, color=COLORS["attempts"], alpha=0.18, lw=0)
    axes.plot(limit / (1 + np.maximum(rows, 0)), rows, color=COLORS["theory"])
    axes.axvline(limit, color=COLORS["theory"], lw=1)
    middle = float(np.mean(retries))
    for x, y, side, text, meaning in ((0.03, rows[0], "left", "healthy", "goodput"),
                                      (1.22, rows[0], "right", "down", "wasted"),
                                      (0.65, 1.7 * middle, "center", "depends on\nhistory", "attempts")):
        label(axes, x * limit, y, text, COLORS[meaning], ha=side)
    label(axes, limit / (1 + middle), middle, "tipping load", COLORS["theory"], ha="right", fontsize=8)
    label(axes, limit, middle, "healthy limit", COLORS["theory"], fontsize=8)
    for state, color in (("healthy", "goodput"), ("bistable", "attempts"), ("collapsed", "wasted")):
        where = points.get(state, ())
        axes.plot([load for load, _ in where], [r for _, r in where], "o", color=COLORS[color])
    axes.set(xlim=(0, 1.25 * limit), ylim=(min(retries) - 0.5, max(retries) + 0.5), xlabel="load (1/s)",
             ylabel="retries")


def hysteresis(axes: Axes, run: Run) -> None:
    """Goodput against load while the load slowly rises and falls again: two branches, one loop."""
    load, good, rising = loop(run)
    for part, meaning, text in ((rising, "goodput", "load rising"), (~rising, "wasted", "load falling")):
        axes.plot(load[part], good[part], color=COLORS[meaning])
        middle = np.flatnonzero(part)[len(np.flatnonzero(part)) // (2 if meaning == "goodput" else 3)]
        side = "right" if meaning == "goodput" else "left"
        label(axes, load[middle], good[middle] + 1, text, COLORS[meaning], ha=side)
    for value, name in ((theory.tipping_load(run.service, run.clients), "tipping load"),
                        (theory.healthy_limit(run.service, run.clients), "healthy limit")):
        axes.axvline(value, color=COLORS["theory"], ls=":", lw=1)
        axes.text(value, 1.0, name, transform=axes.get_xaxis_transform(), ha="center", va="bottom", fontsize=8)
    axes.set(xlim=(0, float(load.max())), ylim=(-1, float(load.max())), xlabel="load (1/s)", ylabel="goodput (1/s)")


def loop(run: Run, window: int = 20) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Load (1/s), goodput (1/s, mean of `window` s) and whether the load is rising, per second of a ramp."""
    time = run.per_second.index.to_numpy(dtype=float)
    load = np.array([run.load.rate(t) for t in time])
    good = np.convolve(run.per_second["goodput"], np.ones(window) / window, "same")
    start, stop = run.disturbance
    inside = (time >= start) & (time < stop)
    return load[inside], good[inside], np.arange(inside.sum()) < np.argmax(load[inside])


def recovery_times(axes: Axes, names: Sequence[str], seconds: Sequence[Sequence[float | None]], longest: float) -> None:
    """One row per cure, one dot per seed: seconds from the end of the trigger to recovery, or still down."""
    for row, values in enumerate(seconds):
        dots = [longest * 1.08 if value is None else value for value in values]
        never = [value is None for value in values]
        jitter = np.linspace(-0.22, 0.22, len(dots)) if len(dots) > 1 else np.zeros(1)
        for dot, lost, shift in zip(dots, never, jitter, strict=True):
            axes.plot(dot, row + shift, "o", ms=3.5, color=COLORS["wasted" if lost else "goodput"])
    axes.axvspan(longest, longest * 1.18, color=COLORS["wasted"], alpha=0.12, lw=0)
    axes.text(longest * 1.09, -0.7, "still down", ha="center", fontsize=8.5, color=COLORS["wasted"], fontweight="bold")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.9)
    axes.set_xlim(-0.02 * longest, longest * 1.18)
    axes.set_xlabel("time from the end of the trigger to recovery (s)")


def side_by_side(axes: Axes, real: Sequence[Run], simulated: Sequence[Run], title: str, top: float) -> None:
    """Goodput of real runs second by second, over the band that their simulations span."""
    each = np.array([run.per_second["goodput"] for run in simulated])
    time = simulated[0].per_second.index.to_numpy() + 0.5
    axes.fill_between(time, each.min(axis=0), each.max(axis=0), color=COLORS["simulated"], alpha=0.35, lw=0)
    axes.plot(time, each.mean(axis=0), color=COLORS["simulated"], lw=2.0, alpha=0.6)
    for run in real:
        axes.plot(run.per_second.index + 0.5, run.per_second["goodput"], color=COLORS["real"], lw=0.9)
    shade(axes, *real[0].disturbance)
    axes.set_title(title, fontsize=9)
    axes.set(xlim=(0, real[0].duration), ylim=(0, top))


def wasted_share(run: Run, start: float, stop: float) -> float:
    """Share of the completed work in [start, stop) that was for clients who had left."""
    inside = (run.ended >= start) & (run.ended < stop)
    late, ok = np.count_nonzero(inside & (run.fate == LATE)), np.count_nonzero(inside & (run.fate == OK))
    return late / (late + ok) if late + ok else 0.0


def queue_of_no_return(axes: Axes, run: Run) -> None:
    """The queue second by second, against the length from which the server no longer keeps up with its load."""
    queue = run.per_second["queue"].to_numpy(dtype=float)
    border = theory.queue_of_no_return(run.service, run.load)
    top = max(1.1 * float(queue.max()), 1.6 * border if border < np.inf else 0.0, 50.0)
    shade(axes, *run.disturbance, "pause")
    axes.plot(run.per_second.index + 1.0, queue, color=COLORS["waiting"])
    if border < np.inf:
        axes.plot([0, run.duration], [border, border], color=COLORS["theory"], ls="--", lw=1.2)
        end_label(axes, run.duration, border, "no return", COLORS["theory"])
    end_label(axes, run.duration, float(queue[-1]), "waiting", COLORS["waiting"])
    axes.set(xlabel="time (s)", ylabel="attempts", ylim=(0, top))
    room_for_ends(axes, 0, run.duration)


def behind_a_cache(axes: Axes, run: Run) -> None:
    """What users ask for and get, and what of it reaches the service behind the cache, per second."""
    seconds, mu = run.per_second, theory.saturated_throughput(run.service)
    time = seconds.index.to_numpy() + 0.5
    smooth = np.ones(3) / 3
    for column, name, meaning in (("offered", "asked", "offered"), ("goodput", "answered", "goodput"),
                                  ("attempts", "to database", "attempts")):
        values = np.convolve(seconds[column], smooth, "valid")
        axes.plot(time[1:-1], values, color=COLORS[meaning], lw=1.5)
        end_label(axes, run.duration, float(values[-10:].mean()), name, COLORS[meaning])
    axes.plot([0, run.duration], [mu, mu], color=COLORS["theory"], ls="--", lw=1.2)
    end_label(axes, run.duration, mu, "it can do", COLORS["theory"])
    axes.axvline(run.disturbance[0], color=COLORS["theory"], ls=":", lw=1)
    axes.set(xlabel="time (s)", ylabel="requests per second")
    room_for_ends(axes, 0, run.duration)
    from_zero(axes)


def fingerprint(axes: Axes, run: Run, title: str, window: int = 20) -> None:
    """Attempts that reach the service, and attempts it completes in time or not, in per cent of what users ask for."""
    seconds = run.per_second
    done = seconds["goodput"] + seconds["late"] - seconds["hits"]
    smooth, rate = np.ones(window) / window, run.load.rate(0)
    time = seconds.index.to_numpy()[window - 1:] + 1.0
    shade(axes, *run.disturbance)
    for values, meaning in ((seconds["attempts"], "attempts"), (done, "wasted")):
        axes.plot(time, 100 * np.convolve(values, smooth, "valid") / rate, color=COLORS[meaning], lw=1.5)
    axes.set_title(title, fontsize=9)
    axes.set(xlim=(0, run.duration), ylim=(0, 470))
