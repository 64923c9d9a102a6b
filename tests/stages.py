"""Run the stages of `make test` one after the other, say how long each took, and fail in the end if one failed.

    python tests/stages.py lint+engine package real+notebooks browser

Each is a target of the Makefile, without its `test-`; those joined by + run side by side.
"""

import os
import subprocess
import sys
import tempfile
import time

MAKE = os.environ.get("MAKE", "make")


def run(stage: str) -> bool:
    """Whether all targets of the stage went well; what those beside the first print comes after it."""
    print(f"\n==== {stage}", flush=True)
    first, *others = [f"test-{name}" for name in stage.split("+")]
    with tempfile.TemporaryFile() as said:
        beside = [subprocess.Popen([MAKE, "--no-print-directory", name], stdout=said, stderr=subprocess.STDOUT)
                  for name in others]
        codes = [subprocess.call([MAKE, "--no-print-directory", first]), *(one.wait() for one in beside)]
        said.seek(0)
        sys.stdout.flush()
        sys.stdout.buffer.write(said.read())
    return not any(codes)


def main(stages: list[str]) -> int:
    """The exit status: 0 if every stage went well."""
    lines, begun = [], time.monotonic()
    for stage in stages:
        start = time.monotonic()
        fine = run(stage)
        lines.append(f"{'ok    ' if fine else 'FAILED'} {minutes(time.monotonic() - start)}  {stage}")
        print(lines[-1], flush=True)
    print("\n==== all stages", *lines, f"       {minutes(time.monotonic() - begun)}  in all", sep="\n", flush=True)
    return int(any(line.startswith("FAILED") for line in lines))


def minutes(seconds: float) -> str:
    """As 3:05.

    >>> minutes(185)
    ' 3:05'
    """
    return f"{int(seconds) // 60:2d}:{int(seconds) % 60:02d}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
