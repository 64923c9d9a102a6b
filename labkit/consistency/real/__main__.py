"""`python -m labkit.consistency.real data/recorded_clusters.json`: run every experiment for real and record it."""

import datetime
import json
import sys
from typing import Any

from labkit.consistency import real
from labkit.consistency.real.recorded import pack

ROUNDS = 24             # of each fault


def record() -> dict[str, Any]:
    """Run every experiment for real."""
    date = datetime.date.today().isoformat()
    with real.etcd() as etcd, real.postgres() as postgres, real.redis() as redis, real.redis() as guarded:
        for system in (etcd, postgres, redis):
            if system.recorded:
                raise RuntimeError(f"cannot record: {system.label}")
        book: dict[str, Any] = {"etcd": {"label": etcd.label, "date": date, "latencies": pack(etcd.latencies())}}
        etcd.link_delay = 5
        book["etcd"]["contest"] = {reads: pack(etcd.contest(reads)) for reads in ("linearizable", "serializable")}
        etcd.link_delay = 0
        book["etcd"]["isolate_leader"] = pack(etcd.isolate_leader())
        book["etcd"]["rounds"] = {fault: pack(etcd.rounds(fault, ROUNDS)) for fault in etcd.faults}
        book["etcd"]["kill_nodes"] = pack(etcd.kill_nodes())
        book["postgres"] = {"label": postgres.label, "date": date, "levels": pack(postgres.levels()),
                            "big_commits": pack(postgres.big_commits()), "both_places": pack(postgres.both_places()),
                            "paused_replay": pack(postgres.paused_replay())}
        book["redis"] = {"label": redis.label, "date": date, "latencies": pack(redis.latencies()),
                         "split_brain": pack(redis.split_brain()),
                         "bounded_split_brain": pack(guarded.bounded_split_brain())}
        return book


if __name__ == "__main__":
    text = json.dumps(record(), separators=(",", ":"))
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(text + "\n")
