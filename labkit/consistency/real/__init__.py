"""Real systems on this machine, started for an experiment and gone after it; where one is missing, a recording.

    with real.etcd(link_delay=5) as cluster:
        history = cluster.contest("serializable")

`recorded` and `label` of what you get say which it is. Everything binds to 127.0.0.1.
"""

from labkit.consistency.real.etcd_client import Client, Unavailable
from labkit.consistency.real.etcd_cluster import Etcd, Observation
from labkit.consistency.real.postgres_standby import Postgres
from labkit.consistency.real.recorded import Recorded
from labkit.consistency.real.redis_replicas import Redis
from labkit.consistency.real.systems import etcd, postgres, redis

__all__ = ["Client", "Etcd", "Observation", "Postgres", "Recorded", "Redis", "Unavailable", "etcd", "postgres", "redis"]
