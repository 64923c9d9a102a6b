"""Kubernetes manifests, Compose files, systemd units: who starts a program, and how long it may take to stop."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from labkit.interactions.readers.found import Found, Table, as_is, translate
from labkit.interactions.readers.web import command, merge


def kubernetes(documents: list[Any]) -> Found:
    """Deployments, StatefulSets, Pods: grace (30 s by default), hooks, probes, memory limits, replicas, commands."""
    found = Found(known=("terminationGracePeriodSeconds", "replicas", "preStop", "livenessProbe", "startupProbe"))
    for document in documents:
        spec = (document or {}).get("spec") or {}
        pod = spec.get("template", {}).get("spec") or (spec if "containers" in spec else None)
        if pod is None:
            continue
        if "replicas" in spec:
            found.put("app.instances", spec["replicas"])
        found.put("orchestrator.grace", pod.get("terminationGracePeriodSeconds", "30"))
        for container in pod.get("containers", ()):
            _container(found, container)
    return found


_PROBES = {"livenessProbe": "orchestrator.liveness_limit", "startupProbe": "orchestrator.startup_limit"}


def _container(found: Found, container: dict[str, Any]) -> None:
    hook = (container.get("lifecycle") or {}).get("preStop")
    if hook:
        found.put("orchestrator.prestop", _sleep(hook))
    for probe, word in _PROBES.items():
        if probe in container:
            found.put(word, container[probe].get("periodSeconds", 10) * container[probe].get("failureThreshold", 3))
    memory = ((container.get("resources") or {}).get("limits") or {}).get("memory")
    if memory is not None:
        found.put("orchestrator.memory", _kubernetes_size(str(memory)))
    merge(found, command([*container.get("command", ()), *container.get("args", ())]))


def _sleep(hook: dict[str, Any]) -> float:
    """Seconds of `sleep: {seconds: 15}` or of a shell's `sleep 15`."""
    if "sleep" in hook:
        return float(hook["sleep"]["seconds"])
    words = " ".join(map(str, (hook.get("exec") or {}).get("command", ())))
    return sum(float(number) for number in re.findall(r"\bsleep\s+(\d+(?:\.\d+)?)", words))


def _kubernetes_size(value: str) -> str:
    """There, M is a million and Mi 2**20."""
    return value + "b" if value[-1:].lower() in "kmg" else value


def compose(document: Any) -> Found:
    """compose.yaml: stop_grace_period (10 s by default), replicas, memory, commands."""
    found = Found(known=("stop_grace_period", "deploy", "mem_limit", "command"))
    for service in (document.get("services") or {}).values():
        own = command(service.get("command") or [])
        if own.settings:
            found.put("orchestrator.grace", service.get("stop_grace_period", "10s"))
            merge(found, own)
        elif "stop_grace_period" in service:
            found.put("orchestrator.grace", service["stop_grace_period"])
        deploy = service.get("deploy") or {}
        if "replicas" in deploy:
            found.put("app.instances", deploy["replicas"])
        memory = service.get("mem_limit") or (deploy.get("resources", {}).get("limits") or {}).get("memory")
        if memory is not None:
            found.put("orchestrator.memory", memory)
    return found


_SYSTEMD: Table = {"TimeoutStopSec": ("orchestrator.grace", as_is),
                   "TimeoutStartSec": ("orchestrator.startup_limit", as_is),
                   "WatchdogSec": ("orchestrator.watchdog", as_is)}


def systemd(text: str) -> Found:
    """A .service unit: times in seconds or with units, TimeoutStopSec 90 s by default; its command's flags too."""
    pairs = list(_assignments(text))
    found = translate([pair for pair in pairs if pair[0] != "ExecStart"], _SYSTEMD,
                      ("Restart", "RestartSec", "ExecStart", "LimitNOFILE"))
    for name, value in pairs:
        if name == "ExecStart":
            merge(found, command(value))
    return found.defaults({"orchestrator.grace": "90s"})


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    section = ""
    for line in text.replace("\\\n", " ").splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        elif line and line[0] not in "#;" and "=" in line and section in ("[Service]", ""):
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()
