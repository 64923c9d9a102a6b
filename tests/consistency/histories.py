"""Random histories: some linearizable by construction, some of anything."""

import heapq
import math
import random
from dataclasses import replace

from labkit.consistency import Operation


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


def with_a_stale_read(history):
    """The same with one late read that returns what an early one saw."""
    reads = [i for i, o in enumerate(history) if o.kind in ("read", "get")]
    late = reads[3 * len(reads) // 4]
    early = [o for o in history[:late // 2] if o.kind == history[late].kind and o.args == history[late].args][-1]
    return [*history[:late], replace(history[late], result=early.result), *history[late + 1:]]
