"""nginx, HAProxy, Envoy, gunicorn, uvicorn: who stands in front, and who answers."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from typing import Any

from labkit.interactions.readers.found import Convert, Found, Table, as_is, milliseconds, plus_one, translate


# ------------------------------------------------------------------------------------------------ nginx
def first(value: str) -> str:
    return value.split()[0]


def tries(value: str) -> Any:
    """proxy_next_upstream_tries: 0 is as many as there are servers, unlimited."""
    return "unlimited" if value == "0" else int(value)


def buffers(value: str) -> str:
    """large_client_header_buffers `number size`: one header must fit into one buffer."""
    return value.split()[1]


# nginx.org/en/docs: a bare time is in seconds, m is minutes there and mebibytes in a size
_NGINX: Table = {
    "proxy_read_timeout": ("gateway.timeout", as_is), "proxy_connect_timeout": ("gateway.connect_timeout", as_is),
    "proxy_next_upstream_tries": ("gateway.attempts", tries), "uwsgi_read_timeout": ("gateway.timeout", as_is),
    "fastcgi_read_timeout": ("gateway.timeout", as_is), "grpc_read_timeout": ("gateway.timeout", as_is),
    "proxy_next_upstream_timeout": ("gateway.total_timeout", as_is),
    "keepalive_timeout": ("gateway.client_idle", first), "upstream keepalive_timeout": ("gateway.idle", first),
    "client_max_body_size": ("proxy.max_body", as_is),
    "underscores_in_headers": ("proxy.underscores_in_headers", as_is),
    "large_client_header_buffers": ("proxy.max_header", buffers)}
_NGINX_DEFAULTS = {"gateway.timeout": "60s", "gateway.connect_timeout": "60s", "gateway.client_idle": "75s",
                   "proxy.max_body": "1m", "proxy.max_header": "8k", "proxy.underscores_in_headers": "off"}
_NGINX_OTHERS = ("proxy_pass", "proxy_send_timeout", "send_timeout", "client_body_timeout", "client_header_timeout",
                 "listen", "server", "server_name", "user", "upstream keepalive", "proxy_set_header", "include")


def nginx(text: str) -> Found:
    pairs = list(_directives(text))
    found = translate(pairs, _NGINX, _NGINX_OTHERS)
    if any(name.endswith("_pass") for name, _ in pairs):
        found.defaults(_NGINX_DEFAULTS)
        if any(name == "upstream keepalive" for name, _ in pairs):
            found.defaults({"gateway.idle": "60s"})
    return found


def _directives(text: str) -> Iterator[tuple[str, str]]:
    """(name, arguments), the name with "upstream " in front inside such a block. Raises ValueError for open blocks."""
    blocks: list[str] = []
    words: list[str] = []
    for token in re.findall(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|#[^\n]*|[{};]|[^\s{};"\']+', text):
        if token.startswith("#"):
            continue
        if token == "{":
            blocks.append(words[0] if words else "")
            words = []
        elif token == "}":
            if not blocks:
                raise ValueError("a } without its {")
            blocks.pop()
            words = []
        elif token == ";":
            if words:
                inside = "upstream " if blocks and blocks[-1] == "upstream" and words[0].startswith("keepalive") else ""
                yield inside + words[0], " ".join(word.strip("\"'") for word in words[1:])
            words = []
        else:
            words.append(token)
    if blocks:
        raise ValueError(f"the block {blocks[-1]} is not closed")


# ------------------------------------------------------------------------------------------------ HAProxy
# docs.haproxy.org: a bare time is in milliseconds; retries do not count the first attempt
_HAPROXY: Table = {
    "timeout server": ("gateway.timeout", milliseconds), "timeout connect": ("gateway.connect_timeout", milliseconds),
    "timeout http-keep-alive": ("gateway.client_idle", milliseconds), "retries": ("gateway.attempts", plus_one),
    "tune.bufsize": ("proxy.max_header", as_is)}
_HAPROXY_OTHERS = ("timeout client", "timeout queue", "timeout check", "timeout tunnel", "timeout http-request")


def haproxy(text: str) -> Found:
    pairs = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words and words[0] == "timeout" and len(words) > 2:
            pairs.append((f"timeout {words[1]}", words[2]))
        elif len(words) > 1:
            pairs.append((words[0], words[1]))
    return translate(pairs, _HAPROXY, _HAPROXY_OTHERS)


# ------------------------------------------------------------------------------------------------ Envoy
def envoy(document: Any) -> Found:
    """Route time-outs, retry policies, idle limits of listeners and clusters. An idle limit is one hour by default."""
    found = Found(known=("timeout", "per_try_timeout", "num_retries", "idle_timeout", "connect_timeout"))
    for path, name, value in _leaves(document):
        cluster = "clusters" in path
        if name == "idle_timeout":
            found.put("gateway.idle" if cluster else "gateway.client_idle", value)
        elif name == "per_try_timeout":
            found.put("gateway.timeout", value)
        elif name == "num_retries":
            found.put("gateway.attempts", int(value) + 1)
        elif name == "connect_timeout" and cluster:
            found.put("gateway.connect_timeout", value)
        elif name == "timeout" and path[-1:] == ("route",):
            found.put("gateway.total_timeout", value)
        elif name.endswith("timeout") and name not in found.unknown:
            found.unknown.append(name)
    if "timeout" not in found.settings.get("gateway", {}) and "total_timeout" in found.settings.get("gateway", {}):
        found.put("gateway.timeout", found.settings["gateway"]["total_timeout"])
    return found


def _leaves(document: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    if isinstance(document, dict):
        for name, value in document.items():
            if isinstance(value, dict | list):
                yield from _leaves(value, (*path, str(name)))
            else:
                yield path, str(name), value
    elif isinstance(document, list):
        for value in document:
            yield from _leaves(value, path)


# ------------------------------------------------------------------------------------------------ servers of Python
# docs.gunicorn.org "Settings": seconds; uvicorn.org "Settings": seconds
_GUNICORN: Table = {"timeout": ("server.timeout", as_is), "keepalive": ("server.idle", as_is),
                    "graceful_timeout": ("server.drain", as_is)}
_GUNICORN_DEFAULTS = {"server.timeout": "30", "server.idle": "2", "server.drain": "30"}
_FLAGS: dict[str, Table] = {
    "gunicorn": {"--timeout": ("server.timeout", as_is), "-t": ("server.timeout", as_is),
                 "--keep-alive": ("server.idle", as_is), "--graceful-timeout": ("server.drain", as_is)},
    "uvicorn": {"--timeout-keep-alive": ("server.idle", as_is),
                "--timeout-graceful-shutdown": ("server.drain", as_is)}}
_FLAG_DEFAULTS = {"gunicorn": _GUNICORN_DEFAULTS, "uvicorn": {"server.idle": "5"}}


def gunicorn(text: str) -> Found:
    """gunicorn.conf.py: its assignments of plain values; what is computed is not run, and counts as unknown."""
    try:
        statements = ast.parse(text).body
    except SyntaxError as error:
        raise ValueError(f"line {error.lineno}: {error.msg}") from None
    pairs, computed = [], []
    for one in statements:
        if isinstance(one, ast.Assign) and len(one.targets) == 1 and isinstance(one.targets[0], ast.Name):
            try:
                pairs.append((one.targets[0].id, str(ast.literal_eval(one.value))))
            except ValueError:
                computed.append(one.targets[0].id)
    found = translate(pairs, _GUNICORN, ("workers", "threads", "bind"))
    found.unknown += computed
    return found.defaults({word: value for word, value in _GUNICORN_DEFAULTS.items()
                           if not any(_GUNICORN.get(name, ("",))[0] == word for name in computed)})


def command(line: str | list[str]) -> Found:
    """The flags of gunicorn or uvicorn in a command line; nothing for another program."""
    words = shlex.split(line) if isinstance(line, str) else [str(word) for word in line]
    program = next((name for word in words for name in _FLAGS if word.rpartition("/")[2] == name), "")
    if not program:
        return Found()
    pairs = []
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name.startswith("-"):
            following = words[place + 1] if place + 1 < len(words) else ""
            pairs.append((name, value if equals else following))
    return translate(pairs, _FLAGS[program]).defaults(_FLAG_DEFAULTS[program])


def procfile(text: str) -> Found:
    """A command line, or a Procfile: `web: uvicorn app:app --timeout-keep-alive 75`."""
    found = Found(known=tuple(name for flags in _FLAGS.values() for name in flags))
    for line in text.splitlines():
        part = command(re.sub(r"^[A-Za-z0-9_-]+:\s+", "", line.partition("#")[0].strip().rstrip("\\")))
        merge(found, part)
    return found


def merge(into: Found, part: Found) -> None:
    for service, values in part.settings.items():
        for name, value in values.items():
            into.put(f"{service}.{name}", value)
    into.unknown += [name for name in part.unknown if name not in into.unknown]
    into.known = tuple({*into.known, *part.known})


__all__ = ["Convert", "command", "envoy", "gunicorn", "haproxy", "merge", "nginx", "procfile"]
