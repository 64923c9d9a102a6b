"""Is this machine ready for the lesson? One line per thing, with the remedy."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from dataclasses import dataclass

from labkit import machine

# what the package really needs: pip's metadata may be missing on a path install
WANTED = {"numpy": "1.26", "pandas": "2.2", "matplotlib": "3.8", "simpy": "4.1", "ipywidgets": "7.7.1",
          "hypothesis": "6.100", "pycrdt": "0.12", "aiohttp": "3.9", "prometheus-client": "0.20", "safetensors": "0.4"}
# part 4 runs on these; they come with `make lab`, or `pip install labkit[data]`
DATA = {"pyarrow": "17", "polars": "1.10", "duckdb": "1.1", "fastavro": "1.9", "orjson": "3.10", "msgspec": "0.18",
        "msgpack": "1.0.8", "openpyxl": "3.1", "xlsxwriter": "3.2", "fastexcel": "0.11"}


@dataclass(frozen=True)
class Line:
    """One checked thing; `remedy` says what to do if it is not `ok`."""

    ok: bool
    what: str
    remedy: str = ""

    def __repr__(self) -> str:
        return f"[OK]   {self.what}" if self.ok else f"[FAIL] {self.what}: {self.remedy}"


class Report(list[Line]):
    """The lines of `ready`; truthy if all are fine."""

    def __bool__(self) -> bool:
        return all(line.ok for line in self)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self))


def on_colab() -> bool:
    return "google.colab" in sys.modules


def engines() -> Report:
    """Check the data engines of part 4, which a plain install does not bring; shows [OK] and [FAIL] lines."""
    return Report(_package(name, low) for name, low in DATA.items())


def ready(needs_gpu: bool = False) -> Report:
    """Check Python, the packages and, if `needs_gpu`, the GPU; shows [OK] and [FAIL] lines."""
    version = platform.python_version()
    lines = [Line(sys.version_info >= (3, 11), f"Python {version}", "Python 3.11 or newer is needed; run `make lab` "
                  "with one, or on Colab choose a current runtime")]
    lines += [_package(name, low) for name, low in WANTED.items()]
    where = "Colab" if on_colab() else f"{platform.system()} {platform.machine()}"
    card = machine.gpu()
    lines.append(Line(bool(card) or not needs_gpu, f"{where}, " + (f"GPU {card}" if card else "no GPU"),
                      "this lesson needs an NVIDIA GPU: on Colab, Runtime > Change runtime type > L4"))
    return Report(lines)


def extra(name: str) -> Report:
    """Check the packages of one of labkit's extras, "platform" or "data"; [OK] and [FAIL] lines with the remedy."""
    wanted = [line.split(";")[0].strip() for line in importlib.metadata.requires("labkit") or []
              if line.endswith(f'extra == "{name}"') or f"extra == '{name}'" in line]
    lines = []
    for requirement in wanted:
        package, _, low = requirement.partition(">=")
        line = _package(package.split("[")[0], low or "0")
        lines.append(Line(line.ok, line.what, f'run `{sys.executable} -m pip install "labkit[{name}]"`'))
    return Report(lines)


def _package(name: str, low: str) -> Line:
    try:
        have = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Line(False, name, f"not installed; run `{sys.executable} -m pip install '{name}>={low}'`")
    fine = _numbers(have) >= _numbers(low)
    return Line(fine, f"{name} {have}", f"{low} or newer is needed; run `pip install -U {name}`")


def _numbers(version: str) -> list[int]:
    """Leading numbers of a version, enough to compare releases."""
    numbers = []
    for part in version.split("."):
        digits = "".join(c for c in part if c.isdigit())
        if not digits:
            break
        numbers.append(int(digits))
    return numbers
