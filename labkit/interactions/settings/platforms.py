"""Kubernetes manifests, Compose files and systemd units: grace periods, limits, and the commands they start.

Source: Kubernetes, Pod lifecycle (terminationGracePeriodSeconds 30) and Resource units (m is a thousandth, Mi is 2^20);
Compose specification (stop_grace_period 10s, byte units are powers of 1024); systemd.time, systemd.service
(TimeoutStopSec 90 s), systemd.unit (StartLimitIntervalSec 10 s, StartLimitBurst 5).
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Callable, Iterator
from typing import Any

from labkit.interactions import quantities as q
from labkit.interactions.settings import lines, servers
from labkit.interactions.settings.words import Configuration, Names, Pairs, Written

COMPOSE_TIMES = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
QUANTITIES = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}
UNIT_TIMES = {
    name: value for value, names in (
        (1e-6, "us usec"), (1e-3, "ms msec"), (1.0, "s sec second seconds"), (60.0, "m min minute minutes"),
        (3600.0, "h hr hour hours"), (86400.0, "d day days"), (604800.0, "w week weeks")) for name in names.split()}
PROBES = (("livenessProbe", "orchestrator.liveness_after"), ("startupProbe", "orchestrator.startup_after"))
COMMANDS: dict[str, Callable[[Configuration, Pairs, str], None]] = {
    "gunicorn": servers.gunicorn, "uvicorn": servers.uvicorn, "redis-server": lines.redis}


def command(loaded: Configuration, said: Any, where: str) -> str:
    """What the flags of a server's command say, and which server it is: "" for programs nobody knows."""
    program, rest = servers.started(servers.split(said, where))
    here = f"{program} in {where}"
    if program in COMMANDS:
        COMMANDS[program](loaded, servers.flags(rest).items(), here)
    elif program == "postgres":
        chosen = re.findall(r"(?:-c\s*|--)([\w.-]+)=(\S+)", " ".join(rest))
        lines.postgresql(loaded, [(name.replace("-", "_"), value) for name, value in chosen], here)
    return program


# ------------------------------------------------------------------------------------------------ Kubernetes
def kubernetes(documents: list[Any], where: str) -> Configuration:
    """Deployments and their like, pods and cron jobs: grace, preStop, probes, replicas, memory, commands."""
    loaded = Configuration()
    for tree in (inner for document in documents for inner in document.get("items") or [document]):
        here = f"{(tree.get('metadata') or {}).get('name', tree.get('kind'))} in {where}"
        spec = tree.get("spec") or {}
        pod = _pod(spec)
        if not pod:
            continue
        if "replicas" in spec:
            loaded.say("app.instances", q.count, "replicas", spec["replicas"], here)
        grace = pod.get("terminationGracePeriodSeconds")
        written = 30 if grace is None else grace
        loaded.say("orchestrator.grace", _seconds, "terminationGracePeriodSeconds", written, here, grace is None)
        for container in pod.get("containers") or []:
            _container(loaded, container, here)
    return loaded


def _pod(spec: Any) -> dict[str, Any]:
    """The innermost spec, which has the containers: {} if there is none."""
    while isinstance(spec, dict) and "containers" not in spec:
        spec = (spec.get("template") or spec.get("jobTemplate") or {}).get("spec")
    return spec if isinstance(spec, dict) else {}


def _seconds(name: str, raw: Any) -> float:
    return q.quantity(name, raw, {})


def _container(loaded: Configuration, container: dict[str, Any], here: str) -> None:
    for seconds in _pre_stop((container.get("lifecycle") or {}).get("preStop") or {}):
        loaded.put("orchestrator.pre_stop", Written(seconds, f"preStop {seconds:g} s ({here})"))
    memory = ((container.get("resources") or {}).get("limits") or {}).get("memory")
    if memory is not None:
        loaded.say("container.memory", lambda name, raw: q.quantity(name, raw, QUANTITIES), "memory", memory, here)
    for probe, word in PROBES:
        table = container.get(probe)
        if table:
            value = float(table.get("periodSeconds", 10)) * float(table.get("failureThreshold", 3))
            loaded.put(word, Written(value, f"{probe} {value:g} s ({here})"))
    said = servers.split(container.get("command"), here) + servers.split(container.get("args"), here)
    command(loaded, said, here)


def _pre_stop(hook: dict[str, Any]) -> Iterator[float]:
    if "sleep" in hook:
        yield float(hook["sleep"]["seconds"])
    words = " ".join(map(str, (hook.get("exec") or {}).get("command") or []))
    naps = re.findall(r"\bsleep\s+(\d+(?:\.\d+)?)", words)
    if naps:
        yield sum(map(float, naps))


# ------------------------------------------------------------------------------------------------ Compose
def _compose_time(name: str, raw: Any) -> float:
    return q.quantity(name, raw, COMPOSE_TIMES)


def _compose_size(name: str, raw: Any) -> float:
    return q.quantity(name, raw, q.BINARY)


def compose(tree: dict[str, Any], where: str) -> Configuration:
    """Services that start a server that is known: grace period, memory limit, replicas, command."""
    loaded = Configuration()
    for name, service in (tree.get("services") or {}).items():
        service, here = service or {}, f"{name} in {where}"
        part = Configuration()
        words = [servers.split(service.get(key), here) for key in ("entrypoint", "command")]
        started = command(part, words[0] + words[1], here)
        deploy = service.get("deploy") or {}
        if "stop_grace_period" in service or "build" in service or started in ("gunicorn", "uvicorn"):
            said, default = service.get("stop_grace_period", "10s"), "stop_grace_period" not in service
            part.say("orchestrator.grace", _compose_time, "stop_grace_period", said, here, default)
        memory = service.get("mem_limit", ((deploy.get("resources") or {}).get("limits") or {}).get("memory"))
        if memory is not None and started == "redis-server":
            part.say("container.memory", _compose_size, "memory", memory, here)
        if "replicas" in deploy and started in ("gunicorn", "uvicorn"):
            part.say("app.instances", q.count, "replicas", deploy["replicas"], here)
        loaded.take(part)
    return loaded


# ------------------------------------------------------------------------------------------------ systemd
def _span(name: str, raw: Any) -> float:
    return float("inf") if str(raw).strip() == "infinity" else q.quantity(name, raw, UNIT_TIMES)


UNIT: Names = {"timeoutstopsec": ("orchestrator.grace", _span), "timeoutsec": ("orchestrator.grace", _span),
               "restartsec": ("supervisor.restart_delay", _span), "limitnofile": ("process.open_files", q.count),
               "startlimitintervalsec": ("supervisor.start_limit", _span),
               "startlimitburst": ("supervisor.start_limit_burst", q.count)}


def systemd(text: str, where: str) -> Configuration:
    """A unit's stop time-out, restart limits, open files, and the command of ExecStart."""
    parser = configparser.RawConfigParser(strict=False, comment_prefixes=("#", ";"))
    try:
        parser.read_string(text, where)
    except configparser.Error as error:
        raise ValueError(f"{where}: {' '.join(str(error).split())}") from None
    sections = [parser[name] for name in ("Unit", "Service") if name in parser]
    said = {name: value for section in sections for name, value in section.items()}
    loaded = Configuration()
    defaults: dict[str, Any] = {"timeoutstopsec": "90s"}
    if said.get("restart", "no") != "no":
        defaults |= {"restartsec": "100ms", "startlimitintervalsec": "10s", "startlimitburst": 5}
    loaded.pairs(UNIT, ((n, v) for n, v in said.items() if n in UNIT), where, defaults)
    misspelt = ((n, v) for n, v in said.items() if n not in UNIT and n != "execstart")
    loaded.pairs(UNIT, misspelt, where)
    command(loaded, said.get("execstart", ""), where)
    return loaded
