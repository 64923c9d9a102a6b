"""Random histories: some linearizable by construction, some of anything."""

import heapq
import math
import random
from dataclasses import replace

from labkit.consistency import Operation
from tests.consistency import brute


def anything(seed, unique=False):
    """Up to four processes, up to three calls each, small times so that everything overlaps and touches."""
    rng, calls, value = random.Random(seed), [], 0
    for process in range(rng.randint(1, 4)):
        time = rng.randint(0, 3)
        for _ in range(rng.randint(1, 3)):
            kind = rng.choice(["read", "write"] if unique else ["read", "write", "cas"])
            begin = time + rng.randint(0, 3)
            end = math.inf if rng.random() < 0.15 else begin + rng.randint(0, 6)
            value += 1
            args = {"read": (), "write": (value if unique else rng.randint(1, 3),),
                    "cas": (rng.randint(1, 3), rng.randint(1, 3))}[kind]
            result = {"read": rng.choice([None, 1, 2, 3]), "write": None, "cas": rng.choice([True, False, None])}[kind]
            calls.append(Operation(process, kind, args, result, begin, end))
            if end == math.inf:
                break
            time = end
    return calls


KINDS = {
    "register": [("read", 3), ("write", 2), ("cas", 2)], "kv": [("get", 3), ("put", 1), ("append", 2), ("delete", 1),
                                                                ("cas", 1)],
    "text": [("get", 3), ("append", 3), ("put", 1)], "queue": [("enqueue", 3), ("dequeue", 3)],
    "set": [("add", 2), ("remove", 1), ("read", 2)], "mutex": [("acquire", 1), ("release", 1)]}
VALUES = {"register": [None, 1, 2, True, 1.0], "kv": ["", "a", "b", "ab", None, 1], "text": ["", "a", "b", "ab", "ba"],
          "queue": [1, 2, True], "set": [1, 2, 3], "mutex": [None]}


def of_any_model(model, seed, distinct=False):
    """Up to four processes whose calls overlap, crash and go on; answers half the time as a real object gave them.

    Also gives the state the object starts in. distinct: no two events at one time.
    """
    rng, calls, values = random.Random(seed), [], VALUES[model]
    names, weights = zip(*KINDS[model], strict=True)
    for process in range(rng.randint(1, 4)):
        time = rng.randint(0, 3)
        for _ in range(rng.randint(1, 4)):
            kind = rng.choices(names, weights)[0]
            begin = time + rng.randint(0, 3)
            end = math.inf if rng.random() < 0.2 else begin + rng.randint(0, 6)
            if distinct:
                begin, end = begin + rng.random() / 4, end + 0.5 + rng.random() / 4
            value, other = rng.choice(values), rng.choice(values)
            key = ("k",) if model in ("kv", "text") else ()
            if kind == "append" and not isinstance(value, str) or kind == "enqueue" and value is None:
                value = "a"
            args = {"cas": (*key, value, other), "write": (value,), "put": (*key, value), "append": (*key, value),
                    "delete": key, "get": key, "enqueue": (value,), "add": (value,), "remove": (value,)}.get(kind, ())
            calls.append(Operation(process, kind, args, None, begin, end))
            time = begin + rng.randint(0, 2) if end == math.inf else end        # it may go on before its time-out
    initial = {"register": rng.choice([None, 1]), "kv": rng.choice(["", None, 1]), "text": rng.choice(["", "a"]),
               "queue": rng.choice([(), (1,), (2, 1)]), "set": rng.choice([(), (1,)]),
               "mutex": rng.random() < 0.3}[model]
    return _answered(rng, calls, model, initial), initial


def _answered(rng, calls, model, initial):
    """Answers: of an object that takes the calls one by one at instants within them, some of them then changed."""
    state = frozenset(initial) if model == "set" else initial
    answers, guess = {}, rng.choice([0.0, 0.1, 0.5])
    for i in sorted(range(len(calls)), key=lambda i: calls[i].invoked + rng.random() * min(
            6, calls[i].returned - calls[i].invoked)):
        call = calls[i]
        answers[i] = _result(call, state)
        if call.kind == "cas" and rng.random() < 0.15:
            answers[i] = None
        elif rng.random() < guess:
            answers[i] = {"cas": rng.choice([True, False, None]), "read": rng.choice(VALUES[model]),
                          "get": rng.choice(VALUES[model]), "dequeue": rng.choice([None, 1, 2, 3])}.get(call.kind)
            if call.kind == "read" and model == "set":
                answers[i] = tuple(v for v in VALUES["set"] if rng.random() < 0.5)
        if call.returned < math.inf or rng.random() < 0.5:
            new = brute.after(state, replace(call, result=answers[i]), initial)
            state = state if new is brute.NO else new
    return [replace(call, result=answers[i]) for i, call in enumerate(calls)]


def _result(call, state):
    if call.kind in ("read", "get"):
        return tuple(sorted(state)) if isinstance(state, frozenset) else state
    if call.kind == "dequeue":
        return state[0] if state else None
    return brute.same(state, call.args[-2]) if call.kind == "cas" else None


def sound(seed, clients, calls, kinds, values=None, crashes=0.0, keys=1):
    """Every call takes effect at a random instant of its own: linearizable by construction."""
    rng, drafts = random.Random(seed), []
    ready = [(rng.random(), client) for client in range(clients)]
    process = list(range(clients))
    heapq.heapify(ready)
    while len(drafts) < calls:
        begin, client = heapq.heappop(ready)
        kind, length = rng.choice(kinds), rng.expovariate(1)
        crashed = kind not in ("read", "get") and rng.random() < crashes
        value = len(drafts) + 1 if values is None else rng.randrange(values)
        drafts.append((process[client], kind, value, f"k{rng.randrange(keys)}", begin,
                       math.inf if crashed else begin + length, begin + rng.random() * length, rng.random() < 0.5))
        process[client] += clients if crashed else 0
        heapq.heappush(ready, (begin + length + rng.expovariate(2), client))
    state, done = {}, {}
    for i in sorted(range(len(drafts)), key=lambda i: drafts[i][6]):
        process_, kind, value, key, begin, end, _, happens = drafts[i]
        happens |= end < math.inf
        if kind in ("read", "write", "cas"):
            key = None
        old = state.get(key, None if key is None else "")
        expected = old if rng.random() < 0.5 else rng.randrange(values or 5)
        args = {"read": (), "write": (value,), "cas": (expected, value), "get": (key,), "put": (key, f"{value};"),
                "append": (key, f"{value};")}[kind]
        result = {"read": old, "get": old, "cas": old == expected if end < math.inf else None}.get(kind)
        if happens and (kind in ("write", "put") or kind == "cas" and old == expected):
            state[key] = args[-1]
        elif happens and kind == "append":
            state[key] = old + args[-1]
        done[i] = Operation(process_, kind, args, result, begin, end)
    return [done[i] for i in range(len(drafts))]


def sequential(seed, calls, values=None):
    """One client, one call after the other."""
    rng, state, history = random.Random(seed), None, []
    for i in range(calls):
        if rng.random() < 0.3:
            state = i if values is None else rng.randrange(values)
            history.append(Operation(0, "write", (state,), None, float(i), i + 0.5))
        else:
            history.append(Operation(0, "read", (), state, float(i), i + 0.5))
    return history


def with_a_stale_read(history):
    """The same with one late read that returns what an early one saw."""
    reads = [i for i, o in enumerate(history) if o.kind in ("read", "get")]
    late = reads[3 * len(reads) // 4]
    early = [o for o in history[:late // 2] if o.kind == history[late].kind and o.args == history[late].args][-1]
    return [*history[:late], replace(history[late], result=early.result), *history[late + 1:]]
