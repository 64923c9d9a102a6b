"""The notebook contract, the claims ledger, and every panel of every notebook at its extremes."""

import json
import os
import re
import statistics
from pathlib import Path

import pytest

from labkit.course import claims

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


def prose(path):
    return "\n\n".join(source(cell) for cell in cells(path, "markdown"))


MINUTES = re.compile(r"^\*\*About (\d+) minutes\.\*\*", re.MULTILINE)
TIMED = [path for path in LESSONS if MINUTES.search(prose(path))]
ROW = re.compile(r"^\| \[`?(\d\d_\w+)`?\]\((?:notebooks/)?\1\.ipynb\) \|[^|]+\| (\d+) \|(.*)$", re.MULTILINE)


def minutes_by_name(table):
    return {name: int(minutes) for name, minutes, _ in ROW.findall(table)}


@pytest.mark.parametrize("path", TIMED, ids=lambda path: path.stem)
def test_the_minutes_of_the_sections_add_up(path):
    total = int(MINUTES.search(prose(path))[1])
    sections = re.findall(r"^## (.+?)(?: · (\d+) min)?$", prose(path), re.MULTILINE)
    assert [title for title, minutes in sections if not minutes] == ["References"]
    assert sum(int(minutes or 0) for _, minutes in sections) == total
    assert re.search(r"^\*\*With 30 minutes\*\*: \w", source(cells(path, "markdown")[0]), re.MULTILINE)
    assert minutes_by_name((ROOT / "README.md").read_text())[path.stem] == total


@pytest.mark.parametrize("path", TIMED, ids=lambda path: path.stem)
def test_code_fits_the_page_and_the_eye(path):
    code = [source(cell).splitlines() for cell in cells(path)]
    assert [line for lines in code for line in lines if len(line) > 100] == []
    assert [lines[0] for lines in code if len(lines) > 12] == []
    assert statistics.median(len(lines) for lines in code) <= 6


def test_the_map_in_00_is_the_table_of_the_readme():
    start, (first, *others) = prose(LESSONS[0]), [path.stem for path in LESSONS]
    table = minutes_by_name((ROOT / "README.md").read_text())
    assert list(table) == [first, *others]
    assert minutes_by_name(start) == {name: table[name] for name in others}


def test_the_ways_through_the_course_add_up_and_come_in_order():
    rows = {name[:2]: (int(minutes), needs) for name, minutes, needs in ROW.findall((ROOT / "README.md").read_text())}
    ways = re.findall(r"^- \*\*.+ · (\d+) min\*\*: (.+?)\. ", prose(LESSONS[0]), re.MULTILINE)
    assert len(ways) == 3
    for total, way in ways:
        visited = re.findall(r"\d\d", way)
        assert sum(rows[number][0] for number in visited) == int(total), way
        for n, number in enumerate(visited):
            assert set(re.findall(r"\d\d", rows[number][1])) <= set(visited[:n]), f"{number} comes too early in {way}"


def test_each_word_of_the_course_is_one_line_and_names_the_notebook_it_is_met_in():
    assert "(../labkit/words.md)" in prose(LESSONS[0])
    words = re.findall(r"^- (.+)$", (ROOT / "labkit" / "words.md").read_text(), re.MULTILINE)
    assert len(words) >= 30
    for word in words:
        entry = re.fullmatch(r"\*\*[^*]+\*\*: .+\(`(\w+)`\)", word)
        assert entry and entry[1] in {path.stem for path in LESSONS}, word
def settled_in(code):
    """The claims a cell settles, one by one or many at once."""
    many = re.findall(r"\b([A-Z]\d+)=", code) if "settle_all(" in code else []
    return re.findall(r'settle\(\s*"(\w+)"', code) + many


def test_ledger_and_notebooks_agree():
    settled = {(claim, path.stem) for path in LESSONS for cell in cells(path)
               for claim in settled_in(source(cell))}
    assert settled == {(claim.id, claim.notebook) for claim in claims.ledger().values()}


def printed(path):
    """Characters of plain text that the cells which settle claims show, and that all cells show."""
    of_claims = of_all = 0
    for cell in cells(path):
        for output in cell["outputs"]:
            text = "".join(output.get("text") or output.get("data", {}).get("text/plain", ""))
            of_all += len(text)
            # what such a cell prints beside its cards is no stream of claims
            if re.search(r"settle(_all)?\(", source(cell)) and output["output_type"] != "stream":
                of_claims += len(text)
    return of_claims, of_all


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_claims_do_not_interrupt_the_story(path):
    of_claims, of_all = printed(path)
    assert of_claims <= of_all / 10, f"{of_claims} of {of_all} characters printed are claims: at most a tenth"


@pytest.mark.xdist_group("alike")
def test_workers_share_out_whole_lessons(request):
    """pytest-xdist that cannot group tests does not say so: every worker would run every lesson."""
    if "PYTEST_XDIST_WORKER" in os.environ and request.config.getoption("loadgroup"):
        assert request.node.nodeid.endswith("@alike")


def test_conda_users_get_all_parts():
    import yaml
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["dependencies"][-1] == {"pip": ["-e .[lab,data,platform]"]}
