"""What a part needs beyond the base install: is it here, and one click that fetches it."""

from __future__ import annotations

import html
import importlib
import importlib.metadata
import shlex
import sys
import threading
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from packaging.requirements import Requirement

from labkit import files, installer
from labkit.progress import silent

# what each extra is for, and the MB it takes on disk (Linux x86-64, Python 3.11, November 2026)
PARTS = {"data": ("part 4", 480), "remote": ("part 5", 45), "platform": ("the gateway of part 6", 220)}
Installer = Callable[[Sequence[str], installer.Say], str]


def requirements(package: str = "labkit", extra: str = "") -> list[Requirement]:
    """What `package` says it needs on this machine; with `extra`, what that extra adds.

    Without markers, so that each can be handed to an installer. Read from the package's metadata, for labkit without
    any (a clone on the path) from its pyproject.toml; [] where there is neither.
    """
    try:
        lines = importlib.metadata.requires(package) or []
    except importlib.metadata.PackageNotFoundError:
        lines = _of_clone(extra) if package == "labkit" else []
    wanted = [Requirement(line) for line in lines]
    wanted = [one for one in wanted if _applies(one, extra) and not (extra and _applies(one, ""))]
    for one in wanted:
        one.marker = None
    return wanted


def lacking(wanted: Sequence[Requirement]) -> list[Requirement]:
    """Those of `wanted` that are not installed here, or too old, or without the extras asked for."""
    return [one for one in wanted if not _here(one)]


@dataclass(frozen=True)
class Extra:
    """One of labkit's extras on this machine; truthy if all of it is here.

    In a notebook, where something is missing, it shows itself as a card with a button that installs it.
    """

    name: str
    wanted: list[Requirement] = field(repr=False)
    missing: list[Requirement]

    def __bool__(self) -> bool:
        return bool(self.wanted) and not self.missing

    def __repr__(self) -> str:
        part, megabytes = PARTS[self.name]
        if self:
            return f"[OK]   {len(self.wanted)} packages for {part}"
        if not self.wanted:
            return f"[FAIL] packages for {part}: labkit's list of them is not here; install labkit by pip or `make lab`"
        names = ", ".join(one.name for one in self.missing)
        return (f"[FAIL] {len(self.missing)} of {len(self.wanted)} packages for {part} are missing: {names}\n"
                f"       run this ({megabytes} MB for all of them), and then this cell again:\n       {self.command}")

    @property
    def command(self) -> str:
        """What installs the missing packages, to be typed into a terminal."""
        return shlex.join([sys.executable, "-m", "pip", "install", *map(str, self.missing)])

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        shown: dict[str, Any] = {"text/plain": repr(self)}
        if self.missing and not silent():               # nothing is installed where outputs are compared
            shown["application/vnd.jupyter.widget-view+json"] = {"version_major": 2, "version_minor": 0,
                                                                 "model_id": InstallCard(self).box.model_id}
        return shown


def extra(name: str) -> Extra:
    """Are the packages of an extra here, "data", "remote" or "platform"? If not, the card of the answer installs them.

    Raises ValueError for another name.
    """
    if name not in PARTS:
        raise ValueError(f"name = {name!r}: must be one of {', '.join(map(repr, PARTS))}")
    importlib.invalidate_caches()                       # for what was installed since this kernel started
    wanted = requirements(extra=name)
    return Extra(name, wanted, lacking(wanted))


class InstallCard:
    """A button that installs what an `Extra` misses, with the installer's last line beneath it.

    run: what installs; `labkit.installer.install`, or a stand-in with the same signature. It runs in a thread of its
    own (`thread`), so that the kernel and the page stay alive.
    """

    def __init__(self, wanted: Extra, run: Installer = installer.install) -> None:
        self.extra = wanted
        self._run = run
        part, megabytes = PARTS[wanted.name]
        self.button = widgets.Button(description=f"Install ({megabytes} MB)", icon="download", button_style="primary")
        self.button.on_click(lambda _: self.start())
        self.line = widgets.HTML()
        self.box = widgets.VBox([widgets.HTML(f"<b>{len(wanted.missing)} packages for {part} are not here yet.</b>"),
                                 self.button, self.line])
        self._say("They go beside the course's other packages. Or type in a terminal:", wanted.command)
        self.thread = threading.Thread(target=self._install, daemon=True)

    def start(self) -> None:
        """Begin to install; what the button does."""
        self.button.disabled = True
        self.button.description = "Installing ..."
        self.thread.start()

    def _install(self) -> None:
        try:
            tool = self._run([str(one) for one in self.extra.missing], lambda line: self._say("", line))
        except installer.InstallError as error:
            self._failed(str(error))
            return
        importlib.invalidate_caches()
        left = lacking(self.extra.missing)
        if left:
            self._failed(f"{tool} said it was done, and {', '.join(one.name for one in left)} cannot be found")
            return
        self.button.description = "Installed"
        self.button.button_style = "success"
        self._say("All there. Run this cell again, then go on.")

    def _failed(self, why: str) -> None:
        """Say what failed, what is here all the same, and what to do; the button can be pressed again."""
        importlib.invalidate_caches()
        left, total = len(lacking(self.extra.missing)), len(self.extra.missing)
        self.thread = threading.Thread(target=self._install, daemon=True)
        self.button.description = "Try again"
        self.button.disabled = False
        self._say(f"Not installed: {why}\n{left} of {total} packages are still missing. Without a connection nothing "
                  "can be fetched; with one, press the button again, or type in a terminal:", self.extra.command)

    def _say(self, text: str, code: str = "") -> None:
        lines = html.escape(text).replace("\n", "<br>")
        self.line.value = (f'<div role="status" style="max-width:760px;line-height:1.4;overflow-wrap:anywhere">{lines}'
                           f'{" " if text and code else ""}{f"<code>{html.escape(code)}</code>" if code else ""}</div>')


def _applies(one: Requirement, extra: str) -> bool:
    return one.marker is None or one.marker.evaluate({"extra": extra})


def _here(one: Requirement) -> bool:
    try:
        have = importlib.metadata.version(one.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return one.specifier.contains(have, prereleases=True) and not any(lacking(requirements(one.name, extra))
                                                                      for extra in one.extras)


def _of_clone(extra: str) -> list[str]:
    """The lines of pyproject.toml beside the package; `extra`'s with the marker they have in metadata."""
    file = Path(files.__file__).parent.parent / "pyproject.toml"
    if not file.exists():
        return []
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    added = [_marked(line, extra) for line in project["optional-dependencies"].get(extra, [])]
    return [*project["dependencies"], *added]


def _marked(line: str, extra: str) -> str:
    what, _, marker = line.partition(";")
    return f'{what} ; {f"({marker.strip()}) and " if marker else ""}extra == "{extra}"'
