"""Gunicorn, uvicorn and their command lines; Node's server and the load balancer of AWS by their own names.

Source: Gunicorn, Settings; uvicorn, Settings; Node.js, http.Server; AWS, Application Load Balancers, attributes.
"""

from __future__ import annotations

import ast
import re
import shlex
from typing import Any

from labkit.interactions import quantities as q
from labkit.interactions.settings.words import Configuration, Names, Pairs, Written, later


def _milliseconds(name: str, raw: Any) -> float:
    return q.quantity(name, raw, {}, 1e-3)


def _milliseconds_or_never(name: str, raw: Any) -> float:
    return _milliseconds(name, raw) or float("inf")


def _drain(name: str, raw: Any) -> float:
    return float("inf") if raw is None else q.quantity(name, raw, {})


GUNICORN: Names = {"timeout": ("server.timeout", q.time_limit), "keepalive": ("server.idle", q.idle_limit),
                   "graceful_timeout": ("server.drain", q.duration), "workers": ("app.workers", q.count),
                   "worker_class": ("server.worker", q.word), "threads": ("server.threads", q.count),
                   "worker_connections": ("server.connections", q.count)}
GUNICORN_DEFAULTS = {"timeout": 30, "keepalive": 2, "graceful_timeout": 30}
SHORT = {"-t": "timeout", "-w": "workers", "-k": "worker_class", "--keep-alive": "keepalive"}
UVICORN: Names = {"timeout_keep_alive": ("server.idle", q.idle_limit),
                  "timeout_graceful_shutdown": ("server.drain", _drain), "workers": ("app.workers", q.count)}
UVICORN_DEFAULTS = {"timeout_keep_alive": 5, "timeout_graceful_shutdown": None}
NODE: Names = {"keepAliveTimeout": ("server.idle", _milliseconds_or_never),
               "headersTimeout": ("server.headers_timeout", _milliseconds_or_never),
               "requestTimeout": ("server.timeout", _milliseconds_or_never)}
NODE_DEFAULTS = {"keepAliveTimeout": 5000, "headersTimeout": 60000}
ALB: Names = dict.fromkeys(("idle_timeout", "idle_timeout.timeout_seconds"),
                           ("gateway.idle gateway.timeout", q.duration)) | dict.fromkeys(
    ("client_keep_alive", "client_keep_alive.seconds"), ("gateway.client_idle", q.duration)) | dict.fromkeys(
    ("deregistration_delay", "deregistration_delay.timeout_seconds"), ("balancer.forgets_after", q.duration))


def gunicorn(loaded: Configuration, pairs: Pairs, where: str) -> None:
    """Gunicorn's settings by name; the `sync` worker, which is the default, keeps no connection.

    A command that names a configuration file (-c) leaves the defaults to that file.
    """
    said = {{"keep-alive": "keepalive"}.get(name, name.replace("-", "_")): value for name, value in pairs}
    elsewhere = bool(said.keys() & {"c", "config"})
    loaded.pairs(GUNICORN, said.items(), where, None if elsewhere else GUNICORN_DEFAULTS)
    if elsewhere:
        return
    threads = said.get("threads", 1)
    if str(said.get("worker_class", "sync")) == "sync" and not later(threads) and q.count("threads", threads) <= 1:
        loaded["server"]["idle"] = Written(0.0, f"worker_class sync keeps no connection ({where})")


def uvicorn(loaded: Configuration, pairs: Pairs, where: str) -> None:
    """Uvicorn's settings, by the names of its flags."""
    said = [(name.replace("-", "_"), value) for name, value in pairs]
    loaded.pairs(UVICORN, said, where, UVICORN_DEFAULTS)


def node(loaded: Configuration, pairs: Pairs, where: str) -> None:
    """Node's http.Server, in milliseconds; 0 is no limit."""
    loaded.pairs(NODE, pairs, where, NODE_DEFAULTS)


def alb(loaded: Configuration, pairs: Pairs, where: str) -> None:
    """An Application Load Balancer; its idle time-out of 60 s is also the longest it waits for a server."""
    loaded.pairs(ALB, pairs, where, {"idle_timeout": 60})


def read_gunicorn(text: str, where: str) -> Configuration:
    """gunicorn.conf.py: names that are given a plain value; the file is not run."""
    loaded, pairs = Configuration(), []
    try:
        lines = ast.parse(text).body
    except SyntaxError as error:
        raise ValueError(f"{where}, line {error.lineno}: {error.msg}") from None
    for line in lines:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            name = line.targets[0].id
            try:
                pairs.append((name, ast.literal_eval(line.value)))
            except ValueError:
                pairs.append((name, f"${{{ast.unparse(line.value)}}}"))
    gunicorn(loaded, pairs, where)
    return loaded


def started(words: list[str]) -> tuple[str, list[str]]:
    """The first known server among the words of a command, and the words that follow it; "" if there is none."""
    for place, said in enumerate(words):
        program = re.sub(r"[\d.]+$", "", said.rpartition("/")[2])
        if program in ("gunicorn", "uvicorn", "redis-server", "postgres"):
            return program, words[place + 1:]
    return "", []


def flags(words: list[str]) -> dict[str, str]:
    """--timeout 60, --timeout=60, -t 60 as name -> value; a flag without a value is "true"."""
    found = {}
    for word, following in zip(words, [*words[1:], "-"], strict=True):
        if word.startswith("-") and word != "-":
            name, equals, value = word.partition("=")
            value = value if equals else "true" if following.startswith("-") else following
            found[SHORT.get(name, name.lstrip("-").replace("-", "_"))] = value
    return found


def split(command: Any, where: str) -> list[str]:
    """The words of a command, written as one text or as a list; those of `sh -c "..."` too."""
    try:
        words = shlex.split(command) if isinstance(command, str) else [str(each) for each in command or []]
        return [inner for word in words for inner in (shlex.split(word) if " " in word else [word])]
    except ValueError as error:
        raise ValueError(f"{where}: {command!r}: {error}") from None
