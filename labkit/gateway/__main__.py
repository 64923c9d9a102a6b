"""The gateway's command.

    python -m labkit.gateway example > gateway.toml     a configuration to start from
    python -m labkit.gateway check gateway.toml         all that is wrong with one
    python -m labkit.gateway key gateway.toml ada eng   a new key for user ada of team eng, shown once
    python -m labkit.gateway serve gateway.toml         run it; SIGTERM or Ctrl-C lets requests finish
    python -m labkit.gateway report gateway.toml        who spent what this month
    python -m labkit.gateway verify audit.jsonl         was the audit log changed?
"""

from __future__ import annotations

import argparse
import json
import logging
import socket
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from labkit.gateway import config
from labkit.gateway.budget import Ledger, LedgerError
from labkit.gateway.keys import Keys
from labkit.gateway.telemetry import audit

EXAMPLE = '''# python -m labkit.gateway serve gateway.toml
[server]
host = "127.0.0.1"          # this machine only; say 0.0.0.0 if you mean it
port = 8080

# tiers, from cheap to dear; prices in dollars per million tokens
[[models]]
name = "small"
served = "Qwen/Qwen3-0.6B"
base_url = "http://127.0.0.1:8000/v1"
usd_per_million_input = 0.05
usd_per_million_output = 0.20

[[models]]
name = "large"
served = "Qwen/Qwen3-8B-AWQ"
base_url = "http://127.0.0.1:8001/v1"
usd_per_million_input = 0.20
usd_per_million_output = 0.80

[router]
kind = "length"             # or keyword, learned, cascade
thresholds = [0.5]          # a score from which the large model answers

# dollars; "user:*" is for every user without a line of their own
[budgets]
request = 0.05
global = { day = 50, month = 1000 }
"team:*" = { day = 10 }
"user:*" = { day = 2 }

[admission]
running = 32                # requests at the engines at once
queue = 64                  # resilience.safe_queue_limit(throughput, patience, service)

[tracing]
to = "off"                  # or local (a SQLite file), or langfuse (LANGFUSE_* variables)
'''


class JSONLines(logging.Formatter):
    """A log line is a JSON object, with the request's id where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        own = {"at": round(record.created, 3), "level": record.levelname.lower(), "event": record.getMessage()}
        found: dict[str, Any] = {**own, **getattr(record, "facts", {}), **own}     # no fact takes the place of these
        if record.exc_info:
            found["trace"] = self.formatException(record.exc_info)
        return json.dumps(found)


def serve(found: config.Config) -> None:
    """Run until SIGTERM or Ctrl-C; then let requests finish, for `drain_seconds` at most."""
    import uvicorn

    from labkit.gateway.http import app
    from labkit.gateway.service import Gateway
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for noisy in ("uvicorn.error", "stamina", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    service = Gateway(found)

    class Draining(uvicorn.Server):
        """Says where it serves once it does, and at /readyz that it is going before it goes."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            port = self.servers[0].sockets[0].getsockname()[1]      # its own choice where the configuration says 0
            logging.getLogger("labkit.gateway").info("serving", extra={"facts": {
                "url": f"http://{found.server.host}:{port}/v1", "models": service.order}})

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            service.draining = True
            logging.getLogger("labkit.gateway").info("draining")
            super().handle_exit(sig, frame)

    server = Draining(uvicorn.Config(app(service), host=found.server.host, port=found.server.port, log_config=None,
                                     access_log=False, server_header=False, lifespan="on",
                                     timeout_graceful_shutdown=max(1, round(found.server.drain_seconds)),
                                     timeout_keep_alive=30))
    if found.server.host not in ("127.0.0.1", "::1", "localhost"):
        logging.getLogger("labkit.gateway").warning("listening on %s: reachable from other machines, without TLS",
                                                    found.server.host)
    server.run()


def main(arguments: list[str] | None = None) -> int:
    """The command; 0 if all is well, 1 if not, 2 for a wrong command."""
    parser = argparse.ArgumentParser(prog="python -m labkit.gateway", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("example")
    for name in ("check", "serve", "report"):
        commands.add_parser(name).add_argument("config", type=Path)
    key = commands.add_parser("key")
    key.add_argument("config", type=Path)
    key.add_argument("user")
    key.add_argument("team")
    key.add_argument("--days", type=float, help="until it expires")
    revoke = commands.add_parser("revoke")
    revoke.add_argument("config", type=Path)
    revoke.add_argument("id", help="the part of the key after lk-")
    check = commands.add_parser("verify")
    check.add_argument("audit", type=Path)
    check.add_argument("--records", type=int, help="how many there should be")
    chosen = parser.parse_args(arguments)
    try:
        return _run(chosen)
    except config.ConfigError as error:
        print(f"{chosen.config}: {len(error.errors)} to correct", *error.errors, sep="\n  ", file=sys.stderr)
    except (ValueError, OSError, LedgerError) as error:
        print(error, file=sys.stderr)
    return 1


def _run(chosen: argparse.Namespace) -> int:
    if chosen.command == "example":
        print(EXAMPLE, end="")
        return 0
    if chosen.command == "verify":
        wrong = audit.verify(chosen.audit, records=chosen.records)
        print(wrong or f"{chosen.audit}: as it was written")
        return 1 if wrong else 0
    found = config.load(chosen.config)
    keys = Keys(found.folder / found.files.keys)
    if chosen.command == "check":
        print(f"{chosen.config}: {len(found.models)} models, {len(found.budgets)} budgets, "
              f"{len(keys.callers)} keys; nothing to correct")
    elif chosen.command == "key":
        print(keys.new(chosen.user, chosen.team, chosen.days))
    elif chosen.command == "revoke":
        keys.revoke(chosen.id)
    elif chosen.command == "report":
        ledger = Ledger(found.path(found.files.ledger))
        tables = [ledger.report(by=by) for by in ("team", "user", "tier")]
        print(time.strftime("%B %Y", time.gmtime()),
              *(tables if len(tables[0]) else ["no requests by any team"]), sep="\n\n")
    else:
        serve(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
