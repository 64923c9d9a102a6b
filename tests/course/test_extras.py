"""What a part needs beyond the base install: read from the package, checked, and installed by one click."""

import importlib.metadata
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from labkit import installer
from labkit.course import extra, extras

ROOT = Path(__file__).resolve().parents[2]
VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A function that makes a distribution look installed, in a folder of this test."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(name, version, *lines):
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        folder.joinpath("METADATA").write_text("\n".join(["Metadata-Version: 2.1", f"Name: {name}",
                                                          f"Version: {version}", *lines, ""]))
    return put


def lacking_tiny():
    wanted = [Requirement("tinything>=2")]
    return extras.Extra("data", wanted, extras.lacking(wanted))


def test_all_parts_are_here_and_say_so_in_one_line():
    for name in extras.PARTS:
        assert extra(name)
        assert repr(extra(name)).startswith("[OK]   ") and "\n" not in repr(extra(name))


def test_another_name_is_refused():
    with pytest.raises(ValueError, match="name = 'gpu': must be one of 'data', 'remote', 'platform'"):
        extra("gpu")


@pytest.mark.parametrize("name", ["", *extras.PARTS])
def test_metadata_and_clone_give_the_same_list(name, monkeypatch):
    listed = {str(one) for one in extras.requirements(extra=name)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["optional-dependencies"][name] if name else project["dependencies"]
    assert {Requirement(line).name for line in listed} == {Requirement(line).name for line in lines}
    asked = importlib.metadata.requires

    def without_labkit(package):
        if package == "labkit":
            raise importlib.metadata.PackageNotFoundError
        return asked(package)

    monkeypatch.setattr(importlib.metadata, "requires", without_labkit)
    assert {str(one) for one in extras.requirements(extra=name)} == listed
    monkeypatch.setattr(extras.files, "__file__", "/nowhere/labkit/files.py")
    assert extras.requirements(extra=name) == []
    if name:
        assert not extra(name) and "list of them is not here" in repr(extra(name))


@pytest.mark.parametrize("wanted, here", [
    ("tinything", True), ("tinything>=1.10", True), ("tinything>=1.10.1", False), ("tinything>=1.9,<2", True),
    ("tinything>=1.10rc1", True), ("another>=1", False)])
def test_versions_are_compared_as_versions(installed, wanted, here):
    installed("tinything", "1.10")
    assert bool(extras.lacking([Requirement(wanted)])) is not here


def test_a_package_without_the_extra_asked_for_is_lacking(installed):
    installed("tinything", "1.10", "Provides-Extra: fast", 'Requires-Dist: tinyspeed>=3; extra == "fast"')
    assert not extras.lacking([Requirement("tinything")])
    assert extras.lacking([Requirement("tinything[fast]")])
    installed("tinyspeed", "3.0")
    assert not extras.lacking([Requirement("tinything[fast]")])


def test_what_another_system_needs_is_left_out(installed):
    installed("holder", "1", 'Requires-Dist: one; extra == "x" and sys_platform == "nowhere"',
              'Requires-Dist: two; extra == "x"', 'Requires-Dist: three')
    assert [str(one) for one in extras.requirements("holder", "x")] == ["two"]
    assert [str(one) for one in extras.requirements("holder")] == ["three"]


def test_the_text_has_the_command_and_no_widget_where_outputs_are_compared(monkeypatch):
    answer = lacking_tiny()
    shown = answer._repr_mimebundle_()
    assert shown == {"text/plain": repr(answer)} and repr(answer) == repr(lacking_tiny())
    assert "1 of 1 packages for part 4 are missing: tinything\n" in repr(answer)
    assert repr(answer).endswith("-m pip install 'tinything>=2'")
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    assert set(answer._repr_mimebundle_()) == {"text/plain", VIEW}
    assert set(extra("data")._repr_mimebundle_()) == {"text/plain"}


def test_one_click_installs_and_the_cell_then_says_ok(installed):
    lines = []

    def run(requirements, say):
        say("Downloading tinything & more (2 MiB)")
        lines.append(card.line.value)
        installed("tinything", "2.1")
        return "uv"

    card = extras.InstallCard(lacking_tiny(), run)
    assert "Install (480 MB)" in card.button.description and "tinything&gt;=2" in card.line.value
    card.button.click()
    card.thread.join()
    assert "Downloading tinything &amp; more" in lines[0]
    assert card.button.disabled and card.button.description == "Installed" and "Run this cell again" in card.line.value
    assert not lacking_tiny().missing


def test_the_installer_is_handed_what_the_package_asks_for(installed, monkeypatch):
    """A marker as in `polars>=1.10; extra == "data"` would make the tools skip the package, and say they were done."""
    asked = []
    lines = ['tinything[a]>=2; extra == "data"', 'numpy', 'orjson>=3; sys_platform != "nowhere" and extra == "data"']
    monkeypatch.setattr(importlib.metadata, "requires", lambda package: lines)
    monkeypatch.setattr(extras, "lacking", list)
    card = extras.InstallCard(extra("data"), lambda requirements, say: asked.extend(requirements) or "uv")
    thread = card.thread
    card.start()
    thread.join()
    assert asked == ["tinything[a]>=2", "orjson>=3"]


def test_a_failure_says_what_failed_and_what_to_do_and_can_be_tried_again(installed):
    def offline(requirements, say):
        raise installer.InstallError("no route to <host>")

    card = extras.InstallCard(lacking_tiny(), offline)
    for _ in range(2):
        thread = card.thread
        card.button.click()
        thread.join()
        assert "Not installed: no route to &lt;host&gt;" in card.line.value
        assert "1 of 1 packages are still missing" in card.line.value and "-m pip install" in card.line.value
        assert not card.button.disabled and card.button.description == "Try again"
    assert lacking_tiny().missing


def test_an_installer_that_installed_nothing_is_not_believed():
    card = extras.InstallCard(lacking_tiny(), lambda requirements, say: "uv")
    thread = card.thread
    card.start()
    thread.join()
    assert "uv said it was done, and tinything cannot be found" in card.line.value
