"""An audit log that shows when somebody changed it: each record carries a keyed hash of itself and of all before it."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import threading
from pathlib import Path
from typing import Any

START = "0" * 64


def key_for(path: Path) -> bytes:
    """The secret beside the log, made at the first start and readable by its owner only. Whoever can read it can forge
    the log: keep it (or a copy of the log) where the gateway's host cannot write."""
    file = path.with_name(path.name + ".key")
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return bytes.fromhex(file.read_text())
    with os.fdopen(handle, "w") as out:
        out.write(secrets.token_hex(32))
    return bytes.fromhex(file.read_text())


class Audit:
    """Appends records to a file, a JSON line each, for one process; continues a chain that is there already.

    Each record is flushed to the system before `write` returns: a killed process loses none. OSError if the file cannot
    be written.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.key = key_for(self.path)
        self.lock, self.records, self.last = threading.Lock(), 0, START
        if self.path.exists():
            self._continue()
        self.file = self.path.open("a")

    def _continue(self) -> None:
        """Find the end of the chain; a last line cut in half by a crash is taken off, a copy is kept beside."""
        whole, _, rest = self.path.read_bytes().rpartition(b"\n")
        if rest:
            self.path.with_name(self.path.name + ".torn").write_bytes(rest)
            os.truncate(self.path, len(whole) + 1 if whole else 0)
        lines = whole.splitlines()
        if lines:
            self.last, self.records = json.loads(lines[-1])["hash"], len(lines)

    def write(self, record: dict[str, Any]) -> None:
        """Append one record."""
        with self.lock:
            body = json.dumps({"n": self.records, **record}, separators=(",", ":"))
            self.last = _link(self.key, self.last, body)
            self.file.write(f'{body[:-1]},"hash":"{self.last}"}}\n')
            self.file.flush()
            self.records += 1

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def verify(path: str | Path, key: bytes | None = None, records: int | None = None) -> str:
    """"" if the log is as it was written, else what is wrong with it and where.

    records: how many there should be (the gateway logs it when it drains, and exports it as a metric): the only thing
    that shows a tail cut off at a line's end.
    """
    path = Path(path)
    key, last, count = key or key_for(path), START, 0
    for count, line in enumerate(path.read_text().splitlines(), 1):
        body, mark, found = line.rpartition(',"hash":"')
        last = _link(key, last, body + "}")
        if not mark or not hmac.compare_digest(found, last + '"}'):
            return f"record {count} was changed, or one before it is missing"
    if records is not None and count != records:
        return f"{count} records, {records} were written: the end is missing"
    return ""


def _link(key: bytes, last: str, body: str) -> str:
    return hmac.new(key, (last + body).encode(), hashlib.sha256).hexdigest()
