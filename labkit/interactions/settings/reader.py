"""Tells what a configuration file is and has it read, in the words of the relations."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from labkit.interactions.settings import envoy, haproxy, lines, nginx, platforms, servers
from labkit.interactions.settings.words import Configuration, Pairs


def _nginx(loaded: Configuration, pairs: Pairs, where: str) -> None:
    loaded.pairs(nginx.NAMES, pairs, where)


# programs whose settings are a flat table of their own names, in a TOML or YAML file too
FLAT: Mapping[str, Callable[[Configuration, Pairs, str], None]] = {
    "gunicorn": servers.gunicorn, "uvicorn": servers.uvicorn, "node": servers.node, "alb": servers.alb,
    "kafka": lines.kafka, "redis": lines.redis, "rabbitmq": lines.rabbitmq, "postgresql": lines.postgresql,
    "nginx": _nginx}
BETWEEN = {"kafka": r"\s*[=:]\s*", "redis": r"\s+", "rabbitmq": r"\s*=\s*", "postgresql": r"\s*=\s*|\s+"}
TEXTS: Mapping[str, Callable[[str, str], Configuration]] = {
    "nginx": nginx.read, "haproxy": haproxy.read, "gunicorn": servers.read_gunicorn, "systemd": platforms.systemd}
KINDS = ("nginx", "haproxy", "gunicorn", "systemd", *BETWEEN, "envoy", "kubernetes", "compose", "command")
NAMED = (("nginx", r"nginx|\.vhost$"), ("haproxy", r"haproxy"), ("gunicorn", r"gunicorn.*\.py$"), ("redis", r"redis"),
         ("rabbitmq", r"rabbit"), ("postgresql", r"postgres"), ("kafka", r"\.properties$|kafka"),
         ("systemd", r"\.service$|\.socket$"), ("command", r"\.sh$|^Procfile"))
LOOKS = (("haproxy", r"^\s*(defaults|frontend|backend|listen)\b[^={]*$"), ("systemd", r"^\[Service\]"),
         ("nginx", r"^\s*(http|server|upstream|location)\b[^;=]*\{"), ("redis", r"^maxmemory\s"),
         ("postgresql", r"^\s*(max_connections|shared_buffers)\b"), ("rabbitmq", r"^(listeners|consumer_timeout)\b"))


def kind_of(name: str, text: str) -> str:
    """Which program a file belongs to, by its name and then by what stands in it; "" if nobody can tell."""
    trees = name.endswith((".yaml", ".yml"))
    by_name = () if trees or name.endswith((".toml", ".json")) else NAMED
    for kind, pattern in by_name:
        if re.search(pattern, name.lower() if kind != "command" else name):
            return kind
    if trees:
        for kind, pattern in (("kubernetes", r"^apiVersion:"), ("compose", r"^services:"),
                              ("envoy", r"^\s*(static_resources|route_config|virtual_hosts|clusters):")):
            if re.search(pattern, text, re.M):
                return kind
        return ""
    return "" if not by_name else next((kind for kind, pattern in LOOKS if re.search(pattern, text, re.M)), "")


def flat(program: str, table: Mapping[str, Any], where: str, **services: str) -> Configuration:
    """A program's settings by its own names, such as {"keepalive": 2} of gunicorn; `services` as in `read`.

    Raises ValueError naming a program nobody knows, or the setting whose value cannot be read.
    """
    if program not in FLAT:
        raise ValueError(f"program = {program!r}: must be one of {', '.join(FLAT)}")
    loaded = Configuration()
    FLAT[program](loaded, table.items(), where)
    return _called(loaded, services)


def read(path: str | Path, kind: str = "", **services: str) -> Configuration:
    """The settings of a configuration file in the relations' words.

    `path`: the file.
    `kind`: one of `KINDS`; by default told from the file's name and text.
    `services`: what the file's services are called here, such as gateway="edge" for a proxy in front of another.

    Raises ValueError naming the file and the place if it cannot be read, or if nobody can tell what it is.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise ValueError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    return read_text(text, kind or kind_of(Path(path).name, text), Path(path).name, **services)


def read_text(text: str, kind: str, where: str = "", **services: str) -> Configuration:
    """The same for a text, `kind` being one of `KINDS` and `where` its name in messages."""
    where = where or kind
    if kind not in KINDS:
        raise ValueError(f"{where}: kind = {kind!r}: must be one of {', '.join(KINDS)}")
    loaded = Configuration()
    if kind in TEXTS:
        loaded = TEXTS[kind](text, where)
    elif kind in BETWEEN:
        FLAT[kind](loaded, lines.split(text, where, BETWEEN[kind]), where)
    elif kind == "command":
        for line in text.replace("\\\n", " ").splitlines():
            platforms.command(loaded, line, where)
    else:
        loaded = _tree(text, kind, where)
    return _called(loaded, services)


def _tree(text: str, kind: str, where: str) -> Configuration:
    import yaml  # not of the base installation
    try:
        documents = [tree for tree in yaml.safe_load_all(text) if tree is not None]
    except yaml.YAMLError as error:
        raise ValueError(f"{where}: {' '.join(str(error).split())}") from None
    if not documents or not all(isinstance(tree, dict) for tree in documents):
        raise ValueError(f"{where}: must be a YAML mapping")
    if kind == "kubernetes":
        return platforms.kubernetes(documents, where)
    return (platforms.compose if kind == "compose" else envoy.read)(documents[0], where)


def _called(loaded: Configuration, services: Mapping[str, str]) -> Configuration:
    renamed = Configuration({services.get(service, service): table for service, table in loaded.items()})
    renamed.unread = loaded.unread
    return renamed
