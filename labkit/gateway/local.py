"""A gateway for the length of a block: its own process, on a free port of 127.0.0.1, with a folder of its own."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labkit.gateway.budget import Ledger
from labkit.gateway.config import load
from labkit.gateway.keys import Keys
from labkit.loopback import Program
from labkit.wire.scrape import Metrics

if TYPE_CHECKING:
    import pandas as pd

SERVES = r'"serving".*"url": "http://[^"]*:(\d+)/v1"'     # what it logs when it does


class Running:
    """A running gateway. base_url: ending in /v1. key: of the first caller; keys: by user. home: its folder.
    seconds: how long the start took."""

    def __init__(self, program: Program, keys: dict[str, str], seconds: float):
        self.program, self.port, self.home, self.keys, self.seconds = program, program.port, program.home, keys, seconds
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self.key = next(iter(keys.values()))

    def __repr__(self) -> str:
        return f"a gateway at {self.base_url}, started in {self.seconds:.1f} s"

    @property
    def headers(self) -> dict[str, str]:
        """The Authorization header of the first caller."""
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def pid(self) -> int:
        """Its process."""
        return self.program.process.pid

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a GET, as /readyz."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metrics(self) -> Metrics:
        """Its metrics now."""
        return Metrics(self.get("/metrics")[1])

    def ledger(self) -> Ledger:
        """Its ledger, opened beside it."""
        return Ledger(self.home / "ledger.db")

    def log(self) -> list[dict[str, Any]]:
        """Its log lines so far."""
        found = []
        for line in (self.home / "log").read_text(errors="replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                found.append(json.loads(line))
        return found

    def traces(self, sql: str) -> pd.DataFrame:
        """SQL over its traces (`tracing = {"to": "local"}`): tables observation and score, view generation."""
        import pandas as pd  # here: a gateway, which makes no tables, starts without
        with contextlib.closing(sqlite3.connect(self.home / "traces.db")) as db:
            return pd.read_sql_query(sql, db)

    def audit(self) -> list[dict[str, Any]]:
        """Its audit records so far."""
        return [json.loads(line) for line in (self.home / "audit.jsonl").read_text().splitlines()]


@contextlib.contextmanager
def running(models: Sequence[Mapping[str, Any]], *, callers: Sequence[tuple[str, str]] = (("ada", "eng"),),
            **tables: Any) -> Iterator[Running]:
    """A gateway for one block; gone, with its folder, at the end of it.

    models: a [[models]] table each, from cheap to dear. callers: (user, team), a key for each. tables: the other
    tables of the configuration, as dicts (`budgets={"global": {"day": 1}}`). ConfigError lists what is wrong.
    """
    text = _toml({**tables, "server": {"port": 0, **tables.get("server", {})}}, models)
    secret: dict[str, str] = {}

    def command(it: Program) -> list[str]:
        (it.home / "gateway.toml").write_text(text)
        keys = Keys(it.home / load(it.home / "gateway.toml").files.keys)
        secret.update((user, keys.new(user, team)) for user, team in callers)
        return [sys.executable, "-m", "labkit.gateway", "serve", "gateway.toml"]

    begun = time.monotonic()
    with Program(command, ready=SERVES, end="TERM") as program:
        yield Running(program, secret, time.monotonic() - begun)


def _toml(tables: Mapping[str, Any], models: Sequence[Mapping[str, Any]]) -> str:
    """The configuration as TOML."""
    lines = [f"{name} = {_value(value)}" for name, value in tables.items() if not isinstance(value, Mapping)]
    for name, table in tables.items():
        if isinstance(table, Mapping):
            lines += [f"[{name}]", *(f"{_name(key)} = {_value(value)}" for key, value in table.items())]
    for model in models:
        lines += ["[[models]]", *(f"{_name(key)} = {_value(value)}" for key, value in model.items())]
    return "\n".join(lines) + "\n"


def _name(key: str) -> str:
    return json.dumps(key)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_name(key)} = {_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)                            # strings, numbers and booleans look the same in TOML
