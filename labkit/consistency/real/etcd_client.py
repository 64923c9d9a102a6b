"""A client of one etcd node, over its JSON gateway, that writes down every call in a history shared by all."""

from __future__ import annotations

import base64
import email.utils
import http.client
import itertools
import json
import math
import threading
import time
from collections.abc import Callable
from typing import Any

from labkit.consistency.history import Operation

PATIENCE = 1.0                      # s, of a client


class Unavailable(Exception):
    """The node did not answer in time, or said that it cannot."""


class Notebook:
    """Where the clients of a cluster write down what they saw, on one clock: ms since it was opened."""

    def __init__(self) -> None:
        self.history: list[Operation] = []
        self.opened = time.perf_counter()
        self.lock = threading.Lock()
        self.processes = itertools.count(1)

    def now(self) -> float:
        return 1000 * (time.perf_counter() - self.opened)

    def new_process(self) -> int:
        with self.lock:
            return next(self.processes)

    def add(self, operation: Operation) -> None:
        with self.lock:
            self.history.append(operation)


class Client:
    """One process that calls one node, one call at a time; after a failed write it goes on as a new process."""

    def __init__(self, notebook: Notebook, port: int, node: int, key: str, patience: float):
        self.notebook, self.port, self.node, self.patience = notebook, port, node, patience
        self.process = notebook.new_process()
        self.key = base64.b64encode(key.encode()).decode()
        self.line: http.client.HTTPConnection | None = None
        self.ahead = 0.0                                # s: the date of the last answer against our clock

    def write(self, value: int) -> int:
        """Returns `value`. Raises Unavailable if there is no answer in time; the write may still happen."""
        body = {"key": self.key, "value": base64.b64encode(str(value).encode()).decode()}
        self._record("write", (value,), lambda: self.call("kv/put", body) and None)
        return value

    def read(self, reads: str = "linearizable") -> int | None:
        """The value, None if there is none; "serializable" takes what this node happens to have."""
        def ask() -> int | None:
            answer = self.call("kv/range", {"key": self.key, "serializable": reads == "serializable"})
            found = answer.get("kvs")
            return int(base64.b64decode(found[0]["value"])) if found else None

        value: int | None = self._record("read", (), ask)
        return value

    def cas(self, expected: int, new: int) -> bool:
        """Set `new` if the value is `expected`; was it?"""
        def encode(value: int) -> str:
            return base64.b64encode(str(value).encode()).decode()

        body = {"compare": [{"key": self.key, "target": "VALUE", "result": "EQUAL", "value": encode(expected)}],
                "success": [{"requestPut": {"key": self.key, "value": encode(new)}}]}
        return bool(self._record("cas", (expected, new), lambda: bool(self.call("kv/txn", body).get("succeeded"))))

    def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One request to etcd's JSON gateway; Unavailable if it fails."""
        try:
            if self.line is None:
                self.line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.patience)
            self.line.request("POST", f"/v3/{path}", json.dumps(body), {"Content-Type": "application/json"})
            answer = self.line.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unavailable(f"node {self.node}: {type(error).__name__}") from error
        if date := answer.getheader("Date"):
            self.ahead = email.utils.parsedate_to_datetime(date).timestamp() - int(time.time())
        if answer.status != 200:
            self.close()
            raise Unavailable(f"node {self.node}: {text[:120].decode(errors='replace')}")
        return dict(json.loads(text))

    def close(self) -> None:
        if self.line:
            self.line.close()
            self.line = None

    def _record(self, kind: str, args: tuple[int, ...], ask: Callable[[], Any]) -> Any:
        notebook, invoked = self.notebook, self.notebook.now()
        try:
            result = ask()
        except Unavailable:
            if kind != "read":                          # it may have happened, or happen yet
                notebook.add(Operation(self.process, kind, args, None, invoked, math.inf))
                self.process = notebook.new_process()
            raise
        notebook.add(Operation(self.process, kind, args, result, invoked, notebook.now()))
        return result
