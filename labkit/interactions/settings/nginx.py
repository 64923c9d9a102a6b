"""nginx.conf: blocks, inherited directives, and what nginx does where nothing is written.

Source: nginx.org/en/docs, ngx_http_core_module, ngx_http_proxy_module, ngx_http_upstream_module, "Configuration file
measurement units".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.interactions import quantities as q
from labkit.interactions.settings.words import Configuration, Names, Written

TIMES = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "M": 2592000.0, "y": 31536000.0}
TOKEN = re.compile(r'#[^\n]*|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[{};]|(?:\$\{\w+\}|[^\s{};])+')
PASS = ("proxy_pass", "fastcgi_pass", "uwsgi_pass", "grpc_pass", "scgi_pass")


@dataclass
class Block:
    """A directive with its arguments; `inside`: the directives of its block, if it has one."""

    words: list[str]
    inside: list[Block] = field(default_factory=list)


def _time(name: str, raw: Any) -> float:
    return q.quantity(name, str(raw).split()[0], TIMES)


def _size(name: str, raw: Any) -> float:
    return q.quantity(name, raw, q.BINARY) or float("inf")


def _retries_posts(name: str, raw: Any) -> bool:
    return "non_idempotent" in str(raw).split()


NAMES: Names = {
    "keepalive_timeout": ("gateway.client_idle", _time),
    "client_max_body_size": ("proxy.max_body", _size),
    "underscores_in_headers": ("proxy.underscores_in_headers", q.flag),
    "proxy_next_upstream": ("gateway.retries_posts", _retries_posts),
    "proxy_next_upstream_timeout": ("gateway.deadline", lambda name, raw: _time(name, raw) or float("inf")),
    "worker_connections": ("process.connections", q.count),
    "worker_rlimit_nofile": ("process.open_files", q.count),
} | {f"{kind}_read_timeout": ("gateway.timeout", _time) for kind in ("proxy", "fastcgi", "uwsgi", "grpc", "scgi")}
DEFAULTS = {"keepalive_timeout": "75s", "client_max_body_size": "1m", "underscores_in_headers": "off",
            "proxy_next_upstream": "error timeout", "proxy_read_timeout": "60s"}
# read by this module itself, beside the names above
OTHERS = ("proxy_next_upstream_tries", "proxy_http_version", "keepalive",
          "server", "upstream", "location", "http", "events", *PASS)


def parse(text: str, where: str = "nginx.conf") -> list[Block]:
    """The directives of the file, nested as written.

    Raises ValueError naming the line of a bracket or a directive that is not closed.
    """
    root = Block([])
    stack, words, line = [root], [], 1
    for token in TOKEN.finditer(text):
        line, word = text.count("\n", 0, token.start()) + 1, token[0]
        if word.startswith("#"):
            continue
        if word not in "{};":
            words.append(word.strip("\"'"))
            continue
        if words:
            stack[-1].inside.append(Block(words))
        if word == "{":
            stack.append(stack[-1].inside[-1] if words else root)
        elif word == "}" and len(stack) > 1 and not words:
            stack.pop()
        elif word == "}":
            raise ValueError(f"{where}, line {line}: {' '.join(words) or '}'}: a semicolon or an opening bracket "
                             "is missing")
        words = []
    if words or len(stack) > 1:
        raise ValueError(f"{where}, line {line}: the file ends inside {' '.join(words or stack[-1].words)!r}")
    return root.inside


def read(text: str, where: str) -> Configuration:
    """The settings of all places that pass requests on, as the gateway and the proxy of the relations."""
    loaded, blocks = Configuration(), parse(text, where)
    upstreams = [block for block in _all(blocks) if block.words[0] == "upstream"]
    places = list(_places(blocks, {}))
    passing = [place for place in places if any(name in place for name in PASS)]
    _each(loaded, passing or places, where, DEFAULTS if passing else {})
    for place in passing:
        _attempts(loaded, place, upstreams, where)
    for upstream in upstreams:
        _idle(loaded, upstream, [place for place in passing if _passes(place, upstream)], where)
    outer = {block.words[0]: " ".join(block.words[1:]) for block in _all(blocks) if not block.inside}
    loaded.pairs(NAMES, [(n, outer[n]) for n in ("worker_connections", "worker_rlimit_nofile") if n in outer], where)
    _unread(loaded, blocks, where)
    return loaded


def _each(loaded: Configuration, places: list[dict[str, str]], where: str, defaults: dict[str, str]) -> None:
    """The values of every place; a default counts beside what another place says, since it is in force there."""
    parts = [Configuration() for _ in places]
    for part, place in zip(parts, places, strict=True):
        part.pairs(NAMES, ((name, value) for name, value in place.items() if name in NAMES), where, defaults)
    said = {(service, name) for part in parts for service, table in part.items()
            for name, written in table.items() if not written.default}
    for part in parts:
        for service, table in part.items():
            for name, written in table.items():
                kept = written.default and (service, name) not in said
                loaded.put(f"{service}.{name}", replace(written, default=kept))


def _all(blocks: list[Block]) -> Iterator[Block]:
    for block in blocks:
        yield block
        yield from _all(block.inside)


def _places(blocks: list[Block], inherited: dict[str, str]) -> Iterator[dict[str, str]]:
    """The directives in force in each innermost block, those of the outer ones included."""
    own = inherited | {block.words[0]: " ".join(block.words[1:]) for block in blocks if not block.inside}
    inner = [block for block in blocks if block.inside and block.words[0] in ("http", "server", "location", "if")]
    if not inner or any(name in own.keys() - inherited.keys() for name in PASS):
        yield own
    for block in inner:
        yield from _places(block.inside, own)


def _attempts(loaded: Configuration, place: dict[str, str], upstreams: list[Block], where: str) -> None:
    """nginx tries each server of the group once, no more than proxy_next_upstream_tries (0: no limit)."""
    sizes = [sum(line.words[0] == "server" for line in group.inside) for group in upstreams if _passes(place, group)]
    servers, written = max(sizes, default=1), place.get("proxy_next_upstream_tries", "0")
    tries = q.count(f"{where}: proxy_next_upstream_tries", written) or servers
    off = place.get("proxy_next_upstream", "") == "off"
    value = 1.0 if off else float(min(tries, servers))
    text = f"proxy_next_upstream_tries {written}, {servers} server{'s' * (servers > 1)}"
    loaded.put("gateway.attempts", Written(value, f"{text} ({where})"))


def _passes(place: dict[str, str], upstream: Block) -> bool:
    """Whether requests of this place go to this group."""
    target = " ".join(place.get(name, "") for name in PASS)
    return bool(re.search(rf"(^|/|\s){re.escape(upstream.words[1])}([\s:/]|$)", target))


def _idle(loaded: Configuration, upstream: Block, places: list[dict[str, str]], where: str) -> None:
    """Connections to the servers are kept only if the group says `keepalive` and the request is HTTP/1.1: for 60 s.

    nginx 1.28; a newer one may keep them by default, so write both down.
    """
    lines = {line.words[0]: line.words[1:] for line in upstream.inside}
    old = [place for place in places if "proxy_pass" in place and place.get("proxy_http_version", "1.0") == "1.0"]
    if "keepalive" not in lines or (places and len(old) == len(places)):
        gone = "proxy_http_version 1.1" if "keepalive" in lines else "keepalive"
        loaded.put("gateway.idle", Written(0.0, f"no {gone} for upstream {upstream.words[1]} ({where})"))
        return
    written = " ".join(lines.get("keepalive_timeout", ["60s"]))
    default = "" if "keepalive_timeout" in lines else "default of "
    value = _time(f"{where}: keepalive_timeout", written)
    loaded.put("gateway.idle", Written(value, f"upstream keepalive_timeout {written} ({default}{where})"))


def _unread(loaded: Configuration, blocks: list[Block], where: str) -> None:
    known = {*NAMES, *OTHERS}
    names = {block.words[0] for block in _all(blocks)} - known
    loaded.pairs(NAMES, ((name, "") for name in sorted(names)), where)
