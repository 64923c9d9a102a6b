"""Linearizability straight from the definition: every order, on objects written down once more, plainly."""

import math
from collections import deque

NO = object()


def same(a, b):
    """Equal and of one kind, all the way down."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def after(state, call, initial):
    """The state after a call of any model; NO if its answer cannot be seen in `state`."""
    kind, result, unknown = call.kind, call.result, call.returned == math.inf
    if kind in ("read", "get"):
        if isinstance(state, frozenset):
            return state if set(result) == set(state) else NO
        return state if same(state, result) else NO
    if kind in ("write", "put"):
        return call.args[-1]
    if kind == "cas":
        hit = same(state, call.args[-2])
        if not unknown and result is not None and result != hit:
            return NO
        return call.args[-1] if hit else state
    if kind == "delete":
        return initial
    if kind == "append":
        return call.args[1] if state is None else state + call.args[1] if isinstance(state, str) else NO
    if kind == "enqueue":
        return (*state, call.args[0])
    if kind == "dequeue":
        if unknown:
            return state[1:]
        if result is None:
            return NO if state else state
        return state[1:] if state and same(state[0], result) else NO
    if kind in ("add", "remove"):
        return state | {call.args[0]} if kind == "add" else state - {call.args[0]}
    if kind == "acquire":
        return NO if state else True
    return False if state else NO


def before(calls):
    """For each call the calls that returned before it was called; touching counts only within a process."""
    return [{j for j, b in enumerate(calls) if b.returned < a.invoked or (
        b.process == a.process and b.returned == a.invoked and (b.invoked, b.returned, j) < (a.invoked, a.returned, i))}
        for i, a in enumerate(calls)]


def brute_force(history, initial):
    """Is there a legal order of all calls that returned and of some that did not? For one object."""
    calls = list(history)
    late = before(calls)
    needed = frozenset(i for i, c in enumerate(calls) if c.returned < math.inf)
    seen, work = set(), deque([(frozenset(), initial)])
    while work:
        done, state = work.pop()
        if needed <= done:
            return True
        for i, call in enumerate(calls):
            if i not in done and late[i] <= done:
                new = after(state, call, initial)
                following = done | {i}, new
                mark = following[0], repr(new)
                if new is not NO and mark not in seen:
                    seen.add(mark)
                    work.append(following)
    return False


def first_to_blame(history, initial):
    """By the definition of `Verdict.blocking`: cut after each return; what had not returned is open, answer unknown.

    Returns the instants (time of return) at which it first fails, for histories without touching times.
    """
    from dataclasses import replace
    for end in sorted({c.returned for c in history if c.returned < math.inf}):
        cut = [c if c.returned <= end else replace(c, returned=math.inf) for c in history if c.invoked <= end]
        if not brute_force([c for c in cut if c.returned < math.inf or c.kind not in ("read", "get")], initial):
            return end
    return None
