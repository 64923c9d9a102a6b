"""Which reader a file is for, by its name and by what is in it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labkit import ranges
from labkit.interactions.readers import deploy, stores, web
from labkit.interactions.readers.found import Found


def own(document: Any) -> Found:
    """A file in our own words: a table of services, each a table of settings."""
    if not isinstance(document, dict):
        raise ValueError(f"must be a table of services, this is a {type(document).__name__}")
    for service, values in document.items():
        if not isinstance(values, dict):
            raise ValueError(f"{service} = {values!r}: must be a table of settings")
    return Found({str(service): dict(values) for service, values in document.items()})


def _yaml(text: str) -> list[Any]:
    import yaml
    return list(yaml.safe_load_all(text))


def _document(text: str) -> Any:
    documents = _yaml(text)
    return documents[0] if documents else None


KINDS: dict[str, Callable[[str], Found]] = {
    "nginx": web.nginx, "haproxy": web.haproxy, "gunicorn": web.gunicorn, "command": web.procfile,
    "envoy": lambda text: web.envoy(_document(text)),
    "kafka": stores.kafka, "redis": stores.redis, "rabbitmq": stores.rabbitmq, "postgresql": stores.postgresql,
    "kubernetes": lambda text: deploy.kubernetes(_yaml(text)), "compose": lambda text: deploy.compose(_document(text)),
    "systemd": deploy.systemd,
    "toml": lambda text: own(tomllib.loads(text)), "json": lambda text: own(json.loads(text)),
    "yaml": lambda text: own(_document(text)),
}
_NAMES = (("nginx", "nginx"), ("haproxy", "haproxy"), ("gunicorn", "gunicorn"), ("procfile", "command"),
          ("redis", "redis"), ("rabbitmq", "rabbitmq"), ("postgresql", "postgresql"), ("postgres", "postgresql"))
_ENDINGS = {".properties": "kafka", ".service": "systemd", ".toml": "toml", ".json": "json", ".sh": "command"}


def kind_of(path: Path, text: str) -> str:
    """nginx.conf, haproxy.cfg, gunicorn.conf.py, Procfile, redis.conf ...; YAML by what is in it."""
    if path.suffix in (".yaml", ".yml"):
        return _yaml_kind(text)
    if path.suffix in _ENDINGS:
        return _ENDINGS[path.suffix]
    for part, kind in _NAMES:
        if part in path.name.lower():
            return kind
    if path.suffix == ".conf" and re.search(r"^\s*(server|http|upstream|location)\b[^\n;]*\{", text, re.MULTILINE):
        return "nginx"
    raise ValueError("cannot tell what this is; say kind=, one of " + ", ".join(KINDS))


def _yaml_kind(text: str) -> str:
    documents = [one for one in _yaml(text) if isinstance(one, dict)]
    if any("apiVersion" in one and "kind" in one for one in documents):
        return "kubernetes"
    if any(name in one for one in documents for name in ("static_resources", "route_config", "virtual_hosts")):
        return "envoy"
    services = documents[0].get("services") if documents else None
    if isinstance(services, dict) and any(isinstance(one, dict) and {"image", "build"} & set(one)
                                          for one in services.values()):
        return "compose"
    return "yaml"


def read(path: str | Path, kind: str | None = None) -> Found:
    """The settings of one file.

    path: of the file.
    kind: one of KINDS; None: told by name and content.
    Raises ValueError that names the file and the place if it cannot be read.
    """
    path = Path(path)
    if kind is not None:
        ranges.one_of("kind", kind, KINDS)
    try:
        text = path.read_text(encoding="utf-8")
        return KINDS[kind or kind_of(path, text)](text)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except Exception as error:                      # each parser has its own error, all of them say where
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
