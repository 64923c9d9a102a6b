"""The notebook contract, the claims ledger, and every panel of every notebook at its extremes."""

import json
import re
from pathlib import Path

import pytest

from labkit.course import claims
from labkit.course import panel as panels

ROOT = Path(__file__).resolve().parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ALL = LESSONS + sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))


def cells(path, kind="code"):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def source(cell):
    return "".join(cell["source"])


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_outputs_are_stored_as_nbval_needs_them(path):
    notebook = json.loads(path.read_text())
    counts = [cell["execution_count"] for cell in cells(path)]
    assert counts == list(range(1, len(counts) + 1)), "run `make notebooks`: nbval compares nothing in unrun cells"
    assert "widgets" not in notebook["metadata"]
    assert path.stat().st_size < 300_000
    text = json.dumps([cell.get("outputs") for cell in cells(path)])
    assert "widget-view" not in text
    assert not re.search(r'/(root|home|work|tmp|Users)/\w', text), "an output shows a path of the machine it ran on"
    assert '"output_type": "error"' not in text


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_keeps_the_contract(path):
    code, prose = [source(c) for c in cells(path)], [source(c) for c in cells(path, "markdown")]
    assert "%pip install" in code[0] and "course.ready()" in code[1]
    assert sum(line.startswith("# ") for text in prose for line in text.splitlines()) == 1
    assert 16 <= len(code) <= 35
    assert 900 <= sum(len(re.findall(r"\b\w+\b", text)) for text in prose) <= 2600
    joined = "\n".join(code)
    for needed in ("predict(", "Panel(", "check("):
        assert needed in joined
    assert any("What to do on Monday" in text for text in prose) and any("## References" in text for text in prose)
    assert (path.parent / "solutions" / f"{path.stem}_solutions.ipynb").exists()


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_notebook_fetches_what_its_part_needs_beyond_the_base(path):
    code = [source(c) for c in cells(path)]
    number = int(path.stem[:2])
    needed = ["data"] if 40 <= number < 50 else ["platform"] if 64 <= number < 70 else []
    start = next(cell for cell in code if "course.ready()" in cell)
    assert re.findall(r'course\.extra\("(\w+)"\)$', start) == needed
    assert "course.extra(" not in "".join(code).replace(start, "")
    if path in LESSONS:
        assert re.findall(r"labkit(?:\[(\w+)\])? @", code[0]) == (needed or [""])


def test_ledger_and_notebooks_agree():
    settled = {(claim, path.stem) for path in LESSONS for cell in cells(path)
               for claim in re.findall(r'settle\("(\w+)"', source(cell))}
    assert settled == {(claim.id, claim.notebook) for claim in claims.ledger().values()}


def panels_of(path):
    """Run the notebook's code here, without what needs a browser or real servers, and collect its panels."""
    made, names = [], {"__name__": "notebook"}
    original = panels.Panel.__init__

    def remember(self, *args, **kwargs):
        original(self, *args, **kwargs)
        made.append(self)

    panels.Panel.__init__ = remember
    try:
        for cell in cells(path):
            try:
                code = compile(source(cell), path.name, "exec")
            except SyntaxError:     # %pip, or an await that only a notebook may have
                continue
            try:
                exec(code, names)
            except NameError:       # it wanted the result of a skipped cell
                assert "await" in "".join(source(c) for c in cells(path))
    finally:
        panels.Panel.__init__ = original
    return made


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_panel_works_at_its_extremes(path, monkeypatch):
    monkeypatch.setenv("LABKIT_ENGINE", "twin")
    monkeypatch.setenv("LABKIT_TWIN_HURRY", "4")
    found = panels_of(path)
    assert found
    for panel in found:
        for name, control in panel.controls.items():
            for value in control.extremes():
                panel.reset().set(**{name: value})
        for pick in (0, -1):
            panel.reset().set(**{name: control.extremes()[pick] for name, control in panel.controls.items()})
            assert panel.text and "nan" not in panel.text
        for preset in panel.presets:
            panel._buttons[preset].click()
            assert 'role="alert"' not in panel._picture.value


def test_conda_users_get_all_parts():
    import yaml
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["dependencies"][-1] == {"pip": ["-e .[lab,data,platform]"]}
