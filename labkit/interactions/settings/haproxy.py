"""haproxy.cfg: sections, with what `defaults` hands down.

Source: HAProxy configuration manual: 2.5 time format (a bare number is milliseconds), 4.2 `timeout`, `retry-on`.
"""

from __future__ import annotations

from typing import Any

from labkit.interactions import quantities as q
from labkit.interactions.settings.words import Configuration, Names, Written

TIMES = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SECTIONS = ("global", "defaults", "frontend", "backend", "listen", "peers", "userlist", "resolvers", "cache", "program")
SAFE = {"none", "conn-failure"}             # nothing has been sent yet


def _time(name: str, raw: Any) -> float:
    return q.quantity(name, raw, TIMES, 1e-3)


NAMES: Names = {
    "timeout client": ("gateway.client_timeout", _time),
    "timeout server": ("gateway.timeout", _time),
    "timeout http-keep-alive": ("gateway.client_idle", _time),
    "pool-purge-delay": ("gateway.idle", _time),
}


def read(text: str, where: str) -> Configuration:
    """The settings of the frontends and backends, those of `defaults` included where they are not overruled."""
    loaded, defaults = Configuration(), dict[str, str]()
    for kind, lines in _sections(text, where):
        own = _settings(lines)
        if kind == "defaults":
            defaults = own
        elif kind in ("frontend", "backend", "listen"):
            side = {"frontend": ("timeout client", "timeout http-keep-alive"),
                    "backend": ("timeout server", "pool-purge-delay")}.get(kind, tuple(NAMES))
            inherited = {name: defaults[name] for name in side if name in defaults}
            loaded.pairs(NAMES, ((n, v) for n, v in (inherited | own).items() if n in NAMES), where)
            if kind != "frontend":
                _attempts(loaded, defaults | own, lines, where)
        unknown = sorted(own.keys() - NAMES.keys() - {"retries", "retry-on"})
        loaded.pairs(NAMES, ((name, "") for name in unknown), where)
    return loaded


def _sections(text: str, where: str) -> list[tuple[str, list[list[str]]]]:
    found: list[tuple[str, list[list[str]]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if words[0] in SECTIONS:
            found.append((words[0], []))
        elif found:
            found[-1][1].append(words)
        else:
            raise ValueError(f"{where}, line {number}: {words[0]!r}: must stand in a section: {', '.join(SECTIONS)}")
    return found


def _settings(lines: list[list[str]]) -> dict[str, str]:
    """Name -> rest of the line; `timeout x` counts as one name, and a server's own words as settings."""
    found = {}
    for words in lines:
        size = 2 if words[0] in ("timeout", "option") else 1
        found[" ".join(words[:size])] = " ".join(words[size:])
        if words[0] in ("server", "default-server") and "pool-purge-delay" in words[:-1]:
            found["pool-purge-delay"] = words[words.index("pool-purge-delay") + 1]
    return found


def _attempts(loaded: Configuration, settings: dict[str, str], lines: list[list[str]], where: str) -> None:
    """A request that was sent is repeated only if retry-on says so; POSTs too, unless disable-l7-retry spares them."""
    on = set(settings.get("retry-on", "conn-failure").split())
    retries = q.count(f"{where}: retries", settings.get("retries", "3"))
    resends = not on <= SAFE
    spared = any("disable-l7-retry" in words and "METH_POST" in words for words in lines)
    text = f"retries {retries:g}, retry-on {' '.join(sorted(on))} ({where})"
    loaded.put("gateway.attempts", Written(1 + retries if resends else 1.0, text))
    loaded.put("gateway.retries_posts", Written(resends and not spared, text))
