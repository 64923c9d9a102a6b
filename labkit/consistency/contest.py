"""Two independent engines at one object's calls, by turns; and whom to blame when there is no order."""

from __future__ import annotations

from collections.abc import Generator

from labkit.consistency.frontier import frontier
from labkit.consistency.meter import Memory, Meter, Spent
from labkit.consistency.search import search
from labkit.consistency.task import SearchResult, Steps, Task

TURN = 5_000                # units of work an engine does before it is another's turn
LAG = 8                     # units an event may take the frontier before the search joins in
NEAR = 12                   # returns that are tried one by one to find the one to blame

Found = tuple[str, SearchResult | None]             # the engine that found out; None if memory was spent
Contest = Generator[None, None, Found]


def contest(task: Task, deadline: float, memory: Memory) -> Contest:
    """Let the engines work by turns until one knows, each keeping what it has learnt; pauses after every turn.

    The frontier begins: where few calls overlap it needs one pass. The search joins when that pass does not get on.
    Raises `Spent` when the time is over.
    """
    meters = {"frontier": Meter(deadline, memory)}
    engines: dict[str, Steps] = {"frontier": frontier(task, meters["frontier"])}
    joined = False
    try:
        while engines:
            for name in list(engines):
                answer = _turn(engines, name, meters[name])
                if answer is not None:
                    return name, answer
            first = meters["frontier"]
            if not joined and ("frontier" not in engines or first.work > TURN + LAG * first.walked):
                joined, meters["search"] = True, Meter(deadline, memory)
                engines["search"] = search(task, meters["search"])
            yield
    finally:
        for meter in meters.values():
            meter.release()
    return "memory", None


def _turn(engines: dict[str, Steps], name: str, meter: Meter) -> SearchResult | None:
    """Let one engine work for a while; it leaves the contest when it remembers too much."""
    end = meter.work + TURN
    try:
        while meter.work < end:
            next(engines[name])
    except StopIteration as stop:
        answer: SearchResult = stop.value
        return answer
    except Spent as spent:
        if spent.bound == "time":
            raise
        del engines[name]
        meter.release()
    return None


def decide(task: Task, deadline: float, memory: Memory) -> SearchResult | None:
    """The answer for one object, None if memory is spent. Raises `Spent` when the time is over."""
    steps = contest(task, deadline, memory)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            found: Found = stop.value
            return found[1]


def blame(task: Task, found: SearchResult, deadline: float, memory: Memory) -> SearchResult:
    """The blocking call of a history that an engine has found not to be linearizable, and the order before it.

    An engine knows every answer from the start. What it could not get past is to blame unless a call that was open
    there has an answer that says something, which counts only from its return; or the engine looked ahead. Then the
    first return is sought up to which the history as it stood has no order: one by one, as it is near and to find an
    order takes less than to find none; then in growing steps and by bisection. None is blamed if time or memory do not
    suffice.
    """
    if found.ok or (not task.ahead and task.exact(found.position)):
        return found
    ends = [p for p in range(max(found.position, 0), len(task.timeline)) if task.timeline[p] & 1]
    low, high, stride = -1, len(ends) - 1, 1      # fine after ends[low]; not after ends[high]
    order = found.order
    try:
        while high - low > 1:
            middle = (low + high) // 2
            probe = min(low + stride, middle) if stride else middle
            answer = decide(task.until(ends[probe]), deadline, memory)
            if answer is None:
                return SearchResult(False, [])
            if answer.ok:
                low, order, stride = probe, answer.order, stride * (1 if probe < NEAR else 2)
            else:
                high, stride = probe, 0
    except Spent:
        return SearchResult(False, [])
    return SearchResult(False, order, task.shown[task.timeline[ends[high]] >> 1], ends[high])
