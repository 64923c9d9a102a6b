"""`python -m labkit.consistency history.jsonl`: is this history linearizable?"""

import argparse
import sys

from labkit.consistency import history
from labkit.consistency.linearizability import linearizable


def main(arguments: list[str] | None = None) -> int:
    """Print the verdict; 0 if linearizable, 1 if not, 3 if unknown, 2 with one line on stderr if the file is wrong."""
    parser = argparse.ArgumentParser(prog="python -m labkit.consistency", description="Is a history linearizable?")
    parser.add_argument("file", help="one JSON object a line: process, kind, args, result, invoked, returned (null: "
                                     "never); data/etcd_stale_read.jsonl is a sample")
    parser.add_argument("--model", choices=["register", "kv"], default="register")
    parser.add_argument("--budget", type=float, default=30.0, metavar="SECONDS", help="default: 30")
    options = parser.parse_args(arguments)
    try:
        verdict = linearizable(history.load(options.file), options.model, options.budget)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(verdict)
    return {True: 0, False: 1, None: 3}[verdict.ok]


if __name__ == "__main__":
    sys.exit(main())
