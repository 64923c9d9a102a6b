"""Is this machine ready for the lesson? One line per thing, with the remedy."""

from __future__ import annotations

import gc
import importlib.metadata
import platform
import sys
from dataclasses import dataclass

from packaging.requirements import Requirement

from labkit import machine
from labkit.course.extras import lacking, requirements


@dataclass(frozen=True)
class Line:
    """One checked thing; `remedy` says what to do if it is not `ok`."""

    ok: bool
    what: str
    remedy: str = ""

    def __repr__(self) -> str:
        return f"[OK]   {self.what}" if self.ok else f"[FAIL] {self.what}: {self.remedy}"


class Report(list[Line]):
    """What `ready` found; truthy if all is fine, and then one line; else a line for each thing that is missing."""

    def __bool__(self) -> bool:
        return all(line.ok for line in self)

    def __repr__(self) -> str:
        if self:
            return "[OK] " + ", ".join(line.what for line in self)
        return "\n".join(repr(line) for line in self if not line.ok)


def on_colab() -> bool:
    return "google.colab" in sys.modules


def ready(needs_gpu: bool = False) -> Report:
    """Check Python, the packages and, if `needs_gpu`, the GPU: one [OK] line, or [FAIL] lines with the remedy."""
    # What is loaded by now stays loaded. Scanning these 10^5 objects for garbage again and again would be felt as
    # a stop of 0.1 s whenever a slider sets off a full collection.
    gc.collect()
    gc.freeze()
    version = platform.python_version()
    lines = [Line(sys.version_info >= (3, 11), f"Python {version}", "Python 3.11 or newer is needed; run `make lab` "
                  "with one, or on Colab choose a current runtime")]
    lines += [_package(wanted) for wanted in requirements()]
    where = "Colab" if on_colab() else f"{platform.system()} {platform.machine()}"
    card = machine.gpu()
    lines.append(Line(bool(card) or not needs_gpu, f"{where}, " + (f"GPU {card}" if card else "no GPU"),
                      "this lesson needs an NVIDIA GPU: on Colab, Runtime > Change runtime type > L4"))
    return Report(lines)


def _package(wanted: Requirement) -> Line:
    try:
        have = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return Line(False, wanted.name, f"not installed; run `{sys.executable} -m pip install '{wanted}'`")
    return Line(not lacking([wanted]), f"{wanted.name} {have}",
                f"{wanted.specifier} is needed; run `{sys.executable} -m pip install -U '{wanted}'`")
