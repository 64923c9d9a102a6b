"""`python -m labkit.consistency history.jsonl`: is this history linearizable?"""

import argparse
import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from labkit.consistency.files import loaded
from labkit.consistency.linearizability import Verdict, linearizable
from labkit.consistency.models import MODELS
from labkit.consistency.operation import Malformed, Operation

SHOWN = 5                   # operations of the prefix that are printed
PICTURES = (".png", ".svg", ".html")


def main(arguments: list[str] | None = None) -> int:
    """Print the verdict; 0 if linearizable, 1 if not, 3 if unknown, 2 with one line on stderr if the file is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m labkit.consistency", description="Is a history linearizable?",
        epilog="Exit code: 0 linearizable, 1 not, 2 the file or an option cannot be used, 3 unknown (budget spent).")
    parser.add_argument("file", help="one JSON object a line: process, kind, args, result, invoked, returned (null: "
                                     "never), see data/etcd_stale_read.jsonl; or CSV with such columns; or history.edn "
                                     "of Jepsen, Knossos or Maelstrom; or a log of Porcupine's etcd and kv sets")
    parser.add_argument("--model", choices=list(MODELS), help="default: by the kinds of the operations")
    parser.add_argument("--initial", metavar="VALUE", help="what the object holds at the start (JSON, or text); "
                                                           "default: nothing")
    parser.add_argument("--budget", type=float, default=30.0, metavar="SECONDS", help="default: 30")
    parser.add_argument("--picture", metavar="FILE", help="draw the calls around the place: .png, .svg or .html")
    options = parser.parse_args(arguments)
    try:
        return _check(options)
    except (ValueError, OSError, RecursionError, OverflowError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _check(options: argparse.Namespace) -> int:
    if options.picture and Path(options.picture).suffix.lower() not in PICTURES:
        raise ValueError(f"--picture {options.picture}: must end in {', '.join(PICTURES)}")
    found = loaded(options.file)
    initial = found.initial if options.initial is None else _value(options.initial)
    model = options.model or found.model
    if (model, found.model, found.initial) == ("register", "kv", None):
        model = "kv"                                        # registers by key, as Jepsen's `independent` writes them
    try:
        verdict = linearizable(found.operations, model, options.budget, initial=initial)
    except Malformed as error:
        line = next(line for o, line in zip(found.operations, found.lines, strict=True) if o is error.operation)
        raise ValueError(f"{Path(options.file).name}, line {line}: {error}") from None
    print(verdict)
    if verdict.ok is False:
        print("\n".join(_prefix(verdict)))
    if options.picture:
        from labkit.consistency import drawings  # matplotlib takes a while, and only a picture needs it

        drawings.save(options.picture, found.operations, verdict)
        print(f"picture: {options.picture}")
    return {True: 0, False: 1, None: 3}[verdict.ok]


def _value(word: str) -> Any:
    """A value from the command line: JSON if it can be, else the text."""
    try:
        value = json.loads(word)
    except ValueError:
        return word
    return tuple(value) if isinstance(value, list) else value


def _prefix(verdict: Verdict) -> list[str]:
    """How the longest linearizable prefix ends."""
    if not verdict.prefix:
        return []
    last: list[Operation] = list(verdict.prefix[-SHOWN:])
    left = len(verdict.prefix) - len(last)
    lines = [f"the longest linearizable prefix: {len(verdict.prefix)} operations, in this order"]
    lines += [f"  ... {left} before"] if left else []
    return [*lines, *(f"  {_as_known(call, verdict)}" for call in last)]


def _as_known(call: Operation, verdict: Verdict) -> str:
    """The call as it was known when the blocking one returned: one that was still open then had no answer yet."""
    if verdict.blocking is None or call.returned < verdict.blocking.returned or call.crashed:
        return str(call)
    return str(replace(call, returned=math.inf)).removesuffix(", never]") + ", still open]"


if __name__ == "__main__":
    sys.exit(main())
