"""The learner's copy: no results, no solutions, never over anybody's work, and back to the start when asked."""

import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from labkit.course import learner
from labkit.course.learner import Course

ROOT = Path(__file__).resolve().parent.parent.parent


def notebook(*sources, folded=False):
    cells = [{"cell_type": "markdown", "id": "top", "metadata": {}, "source": ["# Title"]}]
    for n, source in enumerate(sources):
        metadata = {"collapsed": True, "jupyter": {"outputs_hidden": True}, "tags": ["a"]} if folded else {}
        cells.append({"cell_type": "code", "id": f"c{n}", "metadata": metadata, "source": [source],
                      "execution_count": n + 1,
                      "outputs": [{"output_type": "stream", "name": "stdout", "text": ["the answer\n"]}]})
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.fixture
def course(tmp_path):
    put(tmp_path / "notebooks/00_start.ipynb", notebook("a = 1", "a + 1", folded=True))
    put(tmp_path / "notebooks/10_storm.ipynb", notebook("b = 1"))
    put(tmp_path / "notebooks/solutions/00_start_solutions.ipynb", notebook("a = 2"))
    return Course(tmp_path)


def run(course, *arguments):
    """Exit code, what was said, and what was wrong."""
    with redirect_stdout(StringIO()) as said, redirect_stderr(StringIO()) as wrong:
        code = learner.main(["--root", str(course.root), *arguments])
    return code, said.getvalue(), wrong.getvalue()


def of(course, name):
    return json.loads((course.lab / name).read_text())


def edit(course, name, n, source):
    changed = of(course, name)
    changed["cells"][n]["source"] = [source]
    put(course.lab / name, changed)


def test_a_copy_has_no_results_nothing_folded_and_no_solutions(course):
    assert run(course, "copy") == (0, "lab/: 2 notebooks copied, 0 brought up to date\n", "")
    assert sorted(path.name for path in course.lab.iterdir()) == [".copied.json", "00_start.ipynb", "10_storm.ipynb"]
    for cell in of(course, "00_start.ipynb")["cells"][1:]:
        assert cell["outputs"] == [] and cell["execution_count"] is None and cell["metadata"] == {"tags": ["a"]}
    assert run(course, "copy") == (0, "", "")
    run(course, "solutions")
    assert of(course, "solutions/00_start_solutions.ipynb") == notebook("a = 2")


def test_a_newer_version_comes_only_where_nothing_was_done(course):
    run(course, "copy")
    edit(course, "00_start.ipynb", 1, "a = 3  # mine")
    saved = of(course, "10_storm.ipynb")
    saved["metadata"]["language_info"] = {"name": "python"}      # JupyterLab does that when a notebook is only opened
    put(course.lab / "10_storm.ipynb", saved)
    mine = (course.lab / "00_start.ipynb").read_bytes()
    assert run(course, "copy")[1] == ""            # nothing is newer, so there is nothing to say
    for name in course.lessons():
        put(course.root / "notebooks" / name, notebook("new = 1"))
    code, said, _ = run(course, "copy")
    assert said.splitlines() == [
        "lab/00_start.ipynb is yours and is left as it is. There is a newer version: make reset NB=00 brings it, "
        "and keeps yours beside it", "lab/: 0 notebooks copied, 1 brought up to date"]
    assert (course.lab / "00_start.ipynb").read_bytes() == mine
    assert of(course, "10_storm.ipynb")["cells"][1]["source"] == ["new = 1"]


@pytest.mark.parametrize("do", ["edit", "run", "add", "remove", "reorder", "break", "forget"])
def test_whatever_was_done_is_never_overwritten(course, do):
    run(course, "copy")
    path, there = course.lab / "00_start.ipynb", of(course, "00_start.ipynb")
    cells = there["cells"]
    if do == "edit":
        cells[1]["source"] = ["a = 9"]
    elif do == "run":
        cells[1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["9\n"]}]
    elif do == "add":
        cells.append(dict(cells[2], id="mine"))
    elif do == "remove":
        del cells[2]
    elif do == "reorder":
        cells[1], cells[2] = cells[2], cells[1]
    put(path, "half a note" if do == "break" else there)
    if do == "forget":
        (course.lab / ".copied.json").write_text("{")
    before = path.read_bytes()
    put(course.root / "notebooks/00_start.ipynb", notebook("a = 1", "a + 2"))
    code, said, _ = run(course, "copy")
    assert code == 0 and path.read_bytes() == before and "lab/00_start.ipynb is yours" in said


def test_reset_says_what_it_would_lose_and_loses_nothing(course, monkeypatch):
    run(course, "copy")
    edit(course, "10_storm.ipynb", 1, "b = 2")
    mine = (course.lab / "10_storm.ipynb").read_bytes()
    code, said, wrong = run(course, "reset", "10")      # nobody there to say yes
    assert code == 2 and said.startswith("lab/10_storm.ipynb would lose: 1 cell changed (saved ")
    assert wrong == ("lab/10_storm.ipynb is left as it is; to bring it back without a question: "
                     "make reset NB=10 YES=1\n")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert run(course, "reset", "10")[0] == 2 and (course.lab / "10_storm.ipynb").read_bytes() == mine
    monkeypatch.setattr("builtins.input", lambda question: "y")
    run(course, "reset", "lab/10_storm.ipynb")
    assert of(course, "10_storm.ipynb")["cells"][1]["source"] == ["b = 1"]
    assert (course.lab / "10_storm.before-reset.ipynb").read_bytes() == mine
    edit(course, "10_storm.ipynb", 1, "b = 3")
    run(course, "reset", "10_storm", "--yes")
    assert (course.lab / "10_storm.before-reset.ipynb").read_bytes() == mine
    assert of(course, "10_storm.before-reset-2.ipynb")["cells"][1]["source"] == ["b = 3"]
    assert "would lose" not in run(course, "reset", "10")[1]     # there is nothing to lose


def test_what_would_be_lost_is_counted(course):
    run(course, "copy")
    there = of(course, "00_start.ipynb")
    there["cells"][1]["source"] = ["a = 9"]
    there["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["9\n"]}]
    there["cells"][2:] = [dict(there["cells"][2], id="mine"), dict(there["cells"][2], id="mine too")]
    put(course.lab / "00_start.ipynb", there)
    assert "would lose: 1 cell changed, 2 cells added, 1 cell removed, results of 1 cell (saved " \
        in run(course, "reset", "00")[1]


@pytest.mark.parametrize(("arguments", "message"), [
    (["reset", "77"], "no notebook '77'; there are 00, 10\n"),
    (["reset", "../../etc"], "no notebook '../../etc'; there are 00, 10\n"),
])
def test_a_wrong_number_is_one_line(course, arguments, message):
    assert run(course, *arguments) == (2, "", message)


def test_where_there_is_no_course_is_one_line(tmp_path):
    assert run(Course(tmp_path), "copy") == (
        2, "", f"no notebooks in {tmp_path / 'notebooks'}: run this from a clone of the course\n")
    put(tmp_path / "notebooks/00_start.ipynb", "{")
    code, _, wrong = run(Course(tmp_path), "copy")
    assert code == 2 and wrong.count("\n") == 1
    assert wrong.startswith(f"{tmp_path / 'notebooks/00_start.ipynb'} cannot be read")


def test_the_whole_course_can_be_copied(tmp_path):
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    for command in ("copy", "solutions"):
        subprocess.run([sys.executable, "-m", "labkit.course.learner", "--root", tmp_path, command], check=True,
                       timeout=60)
    originals = sorted((ROOT / "notebooks").glob("*.ipynb"))
    copies = sorted((tmp_path / "lab").glob("*.ipynb"))
    assert [path.name for path in copies] == [path.name for path in originals]
    for path in copies:
        text = path.read_text()
        assert not any(cell.get("outputs") for cell in json.loads(text)["cells"]) and "outputs_hidden" not in text
    assert len(list((tmp_path / "lab/solutions").iterdir())) == len(originals)
