"""The matrix on real libraries: its size, its controls, the discrepancies it must see, and what it must survive."""

import json
import os
import signal
from importlib.metadata import version

import pandas as pd
import pytest

from labkit.interactions import allowlist, contracts, engines, matrix, refusals, systems, values, worker
from labkit.interactions.cases import CASES, CONTROLS, STRIKING, case
from labkit.interactions.judge import Cell, judge
from labkit.interactions.values import Mapping, kept, plain

pytestmark = pytest.mark.xdist_group("matrix")      # it takes half a minute: once, not once a worker


@pytest.fixture(scope="module")
def whole():
    return matrix.run()


def verdict(whole, medium, writer, reader, name):
    return whole.cell(medium, writer, reader, name).verdict


def test_it_is_as_large_as_promised(whole):
    assert len(systems.available()) >= 8 and len({s.name for s in systems.available()}) >= 8
    assert all(case.why for case in CASES)
    assert len(CASES) >= 60 and len({c.name for c in CASES}) == len(CASES)
    assert len(whole.pairs()) >= 100 and len(whole) >= 5000
    assert sum(whole.counts().values()) == len(whole)
    assert whole.versions["pandas"] == version("pandas")


def test_controls_are_the_same_wherever_they_can_be_held(whole):
    for control in CONTROLS:
        for cell in whole.select(case=control.name).cells:
            text_only = cell.reader == "csv"                                # csv.reader knows texts only
            no_booleans = cell.medium == "sqlite" and control.name == "plain booleans"
            expected = "type_changed" if text_only or no_booleans else "same"
            assert cell.verdict == expected, str(cell)


NAMED = [("parquet", "pandas", "pandas", "2^53 + 1 and NULL"), ("csv", "duckdb", "duckdb", "infinities"),
         ("csv", "pandas", "pandas", "ZIP codes"), ("csv", "duckdb", "duckdb", "decimal(38,18)"),
         ("json", "pandas", "json", "awkward doubles"), ("csv", "polars", "pandas", "one column with NULL"),
         ("json", "json", "node", "2^53 + 1")]


@pytest.mark.parametrize("medium,writer,reader,name", NAMED)
def test_named_discrepancies_are_seen(whole, medium, writer, reader, name):
    if reader == "node" and not any(s.name == "node" for s in systems.available()):
        pytest.skip("no node: apt-get install nodejs")
    cell = whole.cell(medium, writer, reader, name)
    if cell.verdict != "silent_loss":
        pytest.skip(f"cured upstream? {whole.versions}: {cell}")
    assert cell.came is not None and cell.why and cell.head and cell.size
    assert cell.wrote and cell.reads and cell.writer in str(cell)


def test_the_striking_cells_are_in_the_matrix_where_their_programs_are(whole):
    here = {system.name for system in systems.available()}
    wanted = [key for key in STRIKING if here >= {key[1], key[2]}]
    assert len(set(STRIKING)) == 15 and len(wanted) >= 14
    assert [(c.medium, c.writer, c.reader, c.case) for c in whole.tried(STRIKING)] == wanted
    assert sum(cell.verdict == "silent_loss" for cell in whole.tried(STRIKING)) > len(wanted) / 2
    assert whole.tried([("csv", "no such library", "csv", "infinities")]) == []


def test_neighbours_of_the_named_ones_are_right(whole):
    assert verdict(whole, "parquet", "pyarrow", "pyarrow", "2^53 + 1 and NULL") == "same"
    assert verdict(whole, "csv", "duckdb", "duckdb", "ZIP codes") == "same"
    assert verdict(whole, "avro", "fastavro", "fastavro", "decimal(38,18)") == "same"
    assert verdict(whole, "json", "json", "json", "awkward doubles") == "same"


def test_readers_of_one_file_disagree(whole):
    found = whole.disagreements()
    assert ("csv", "pandas", "ZIP codes") in found and ("parquet", "pyarrow", "plain ints") not in found
    assert len(found) > 300


def test_tables_count_and_selections_select(whole):
    table = whole.table("parquet")
    assert table.loc["pandas", "pandas"] == whole.select(medium="parquet", writer="pandas", reader="pandas",
                                                         verdict="silent_loss").__len__()
    with pytest.raises(ValueError, match="Matrix.select: field = 'colour': must be one of"):
        whole.select(colour="red")
    with pytest.raises(ValueError, match="Matrix.table: verdict = 'fine'"):
        whole.table("csv", "fine")
    with pytest.raises(ValueError, match="no cell csv: pandas -> pandas: no such case"):
        whole.cell("csv", "pandas", "pandas", "no such case")


def test_your_own_table():
    mine = pd.DataFrame({"id": pd.array([2**53 + 1, None], "Int64"), "name": ["Zoë", "x"],
                         "when": pd.to_datetime(["2024-01-01", None])})
    found = matrix.run(table=mine, media=["parquet", "csv"])
    assert {cell.case for cell in found.cells} == {"id", "name", "when"}
    assert found.cell("parquet", "pyarrow", "pyarrow", "id").verdict == "same"
    assert found.cell("parquet", "pandas", "pandas", "id").verdict == "silent_loss"
    for bad in (pd.DataFrame(), [1, 2]):
        with pytest.raises(ValueError, match="table: must be a pandas DataFrame with at least one column"):
            matrix.run(table=bad)
    with pytest.raises(ValueError, match="column 'mixed' mixes types"):
        matrix.run(table=pd.DataFrame({"mixed": [1, "a", {}]}))
    with pytest.raises(ValueError, match="matrix.run: media = 'stone': must be one of 'parquet'"):
        matrix.run(media=["stone"])


def test_a_library_that_kills_its_process_is_one_cell(monkeypatch):
    """The worker dies in the middle of a job; the cell says so and every other cell is there."""
    few = [case("fine", CASES[0].columns[1].type, [1], ""), case("deadly", CASES[0].columns[1].type, [666], ""),
           case("fine too", CASES[0].columns[1].type, [2], "")]
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__))
    monkeypatch.setattr(matrix, "WORKER", "deadly_worker")
    found = matrix.run(cases=few, media=["sqlite"])
    assert len(found) == 12
    dead = [cell for cell in found.cells if "process died" in cell.why]
    assert {cell.key for cell in dead} == {f"sqlite: {writer} -> pandas: deadly" for writer in ("sqlite3", "pandas")}
    assert all(cell.verdict == "read_error" and f"{-signal.SIGKILL}" in cell.why for cell in dead)
    assert sum(cell.verdict == "same" for cell in found.cells) == 10


def test_a_worker_that_does_not_start_is_an_error_and_not_an_empty_matrix(monkeypatch):
    monkeypatch.setattr(matrix, "WORKER", "no_such_module")
    with pytest.raises(RuntimeError, match="worker did not start .exit code 1.; try: .* -c 'import no_such_module'"):
        matrix.run(media=["sqlite"], cases=CASES[:2])


def test_shrink_finds_the_smallest_table():
    found = matrix.shrink(("parquet", "pandas", "pandas"), "int64")
    assert found is not None and found.came is not None
    went = found.went[1][1]
    assert len(went) == 2 and ("null",) in went and abs(max(v[1] for v in went if v != ("null",))) > 2**53
    assert matrix.shrink(("parquet", "pyarrow", "pyarrow"), "int64", examples=50) is None
    for pair, kind, message in ((("csv", "nobody", "pandas"), "text", "no system 'nobody' on 'csv'"),
                                (("csv", "pandas", "pandas"), "poem", "matrix.shrink: kind = 'poem'")):
        with pytest.raises(ValueError, match=message):
            matrix.shrink(pair, kind)


def test_allowlist_is_a_gate(whole, tmp_path):
    part = whole.select(medium="parquet")
    file = tmp_path / "known.json"
    allowlist.save(part, file)
    assert not allowlist.compare(part, file) and "nothing new" in repr(allowlist.compare(part, file))
    saved = json.loads(file.read_text())
    gone = next(key for key, (verdict, _) in sorted(saved["known"].items()) if verdict == "silent_loss")
    del saved["known"][gone]
    saved["known"]["parquet: pyarrow -> pyarrow: plain ints"] = ["silent_loss", "1 became 2"]
    saved["versions"]["pandas"] = "0.1"
    file.write_text(json.dumps(saved))
    change = allowlist.compare(part, file)
    assert change and change.new[0].startswith(f"{gone}: same -> silent loss (") and len(change.new) == 1
    assert change.cured == ("parquet: pyarrow -> pyarrow: plain ints: silent loss (1 became 2) -> same",)
    assert f"pandas 0.1 -> {version('pandas')}" in repr(change)


class TestAllowlist:
    """One cell, before and after."""

    def gate(self, tmp_path, before, now, reader="b"):
        def table(found, reader):
            cells = [Cell("csv", "a", reader, "x", found[0], found[1], "", "", ([], [])),
                     Cell("csv", "a", reader, "y", "same", "", "", "", ([], []))]
            return matrix.Matrix(tuple(cells), {"a": "1"})

        allowlist.save(table(before, "b"), tmp_path / "known.json")
        return allowlist.compare(table(now, reader), tmp_path / "known.json")

    @pytest.mark.parametrize(("before", "now"), [
        (("same", ""), ("silent_loss", "1 became 2")), (("same", ""), ("refused", "ValueError: no")),
        (("same", ""), ("type_changed", "1 became 1.0")),
        (("read_error", "ValueError: no"), ("silent_loss", "1 became 2")),
        (("silent_loss", "1 became 2"), ("silent_loss", "1 became 3")),
        (("refused", "KeyError: x"), ("read_error", "x")),
        (("read_error", "KeyError: x"), ("read_error", "ValueError: x"))])
    def test_worse_or_other_is_new(self, tmp_path, before, now):
        change = self.gate(tmp_path, before, now)
        assert change and len(change.new) == 1 and not (change.better or change.cured or change.gone)
        assert change.new[0].startswith("csv: a -> b: x: ") and before[0].replace("_", " ") in change.new[0]

    @pytest.mark.parametrize(("before", "now", "kind"), [
        (("silent_loss", "1 became 2"), ("refused", "ValueError: no"), "better"),
        (("silent_loss", "1 became 2"), ("same", ""), "cured"), (("read_error", "x"), ("type_changed", "y"), "cured")])
    def test_better_and_cured_do_not_shut_the_gate(self, tmp_path, before, now, kind):
        change = self.gate(tmp_path, before, now)
        assert not change and len(getattr(change, kind)) == 1

    @pytest.mark.parametrize("found", [("silent_loss", "1 became 2"), ("read_error", "OSError: /tmp/1"), ("same", "")])
    def test_the_same_is_nothing(self, tmp_path, found):
        now = (found[0], found[1].replace("/tmp/1", "/tmp/2"))
        assert repr(self.gate(tmp_path, found, now)) == "nothing new, nothing cured"

    def test_a_pair_that_was_not_tried_is_said(self, tmp_path):
        change = self.gate(tmp_path, ("silent_loss", "1 became 2"), ("silent_loss", "1 became 2"), reader="c")
        assert change.gone == ("csv: a -> b (all of it)",) and change.new == (
            "csv: a -> c: x: same -> silent loss (1 became 2)",)

    @pytest.mark.parametrize("text", ["{}", "[]", "", '{"versions": {}, "pairs": [], "known": {"x": "silent_loss"}}',
                                      '{"versions": {}, "pairs": [], "known": {"x": ["bad", ""]}}'])
    def test_a_file_that_is_no_list(self, tmp_path, text):
        (tmp_path / "known.json").write_text(text)
        with pytest.raises(ValueError, match="must be a file written by allowlist.save"):
            allowlist.compare(matrix.Matrix((), {}), tmp_path / "known.json")


def test_declared_types_cut_the_losses_of_csv_by_four():
    effect = contracts.csv_effect()
    declared = effect.counts["declared types"]
    for name, counts in effect.counts.items():
        assert sum(counts.values()) == sum(declared.values())
        if name != "declared types":
            assert counts["silent_loss"] >= 4 * declared["silent_loss"]
    assert declared["type_changed"] == 0 and len(effect.left) == declared["silent_loss"]


def test_what_is_left_was_destroyed_by_the_writer(tmp_path):
    """The bytes of another table are the same, or the name is not in the file: no reader could know."""
    known = {case.name: case for case in CASES}
    for writer, name, _ in contracts.csv_effect().left:
        one = next(s for s in systems.ALL if (s.name, s.medium) == (writer, "csv"))
        one.write(known[name], tmp_path / "a.csv")
        first = (tmp_path / "a.csv").read_text().splitlines()[0]
        if name == "NaN and NULL":
            other = case("other", known[name].columns[1].type, [None, None, 1.5], "")
        elif name == "empty text and NULL":
            other = case("other", known[name].columns[1].type, [None, None, "x"], "")
        else:
            assert [part.strip('"') for part in first.split(",")] != known[name].names
            continue
        one.write(other, tmp_path / "b.csv")
        assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_avro_resolves_what_it_says():
    got = contracts.avro_resolution()
    for name in ("narrow long to int", "rename amount to total", "a new field"):
        assert "Error" in got[name]
    assert "'total': 0.5" in got["rename, with an alias"] and "EUR" in got["a new field, with a default"]


def test_somebody_answers_what_has_no_answer():
    asked = {(r.system, r.question): r for r in refusals.ask()}
    assert not asked["pandas", "300 as int8"].loud and asked["pandas", "300 as int8"].answer == "[44]"
    assert asked["pyarrow", "300 as int8"].loud and asked["duckdb", "2^63-1 + 1"].loud
    assert not asked["sqlite3", "1.0 / 0"].loud
    assert len(asked) >= 30


# ------------------------------------------------------------------------------------------------ verdicts
@pytest.mark.parametrize("went,came,expected", [
    (5, 5.0, True), (2**53 + 1, float(2**53), False), ("00731", 731, False), ("731", 731, True), (True, 1, True),
    (None, float("nan"), True), (-0.0, 0, False), (b"ab", "YWI=", True), (b"ab", "ab", False), ([1, None], [1], False),
    ([1, None], [1, None], True), ({"a": 1}, {"a": 1.0}, True), ({"a": 1}, {}, False),
    (Mapping([(1, "x")]), {"1": "x"}, True), (Mapping([(1, "x")]), [{"key": 1, "value": "x"}], True),
    ("true", True, True), ("TRUE", True, True), ("1", True, False)])
def test_kept_means_that_it_can_be_read_back(went, came, expected):
    assert kept(plain(went), plain(came)) is expected


def test_moments_in_every_form():
    noon = ("timestamp", 1_717_243_200_000_000_000, "UTC")
    for came in (1_717_243_200, 1_717_243_200_000, 1_717_243_200_000.0):
        assert kept(noon, plain(came))
    for text in ("2024-06-01T12:00:00Z", "2024-06-01 12:00:00+00", "2024-06-01 14:00:00+02:00",
                 "2024-06-01T12:00:00.000000000"):
        assert kept(noon, plain(text)), text
    assert not kept(noon, plain("2024-06-01T12:00:01")) and not kept(noon, plain("yesterday"))
    assert values.show(noon) == "timestamp 2024-06-01T12:00:00 UTC"


def test_columns_and_rows_that_are_lost_are_losses():
    one = CASES[0]
    assert judge(one, engines.from_records([{"id": 0, "v": 1}]))[0] == "silent_loss"
    assert judge(one, (["id"], [[("int", 0)]]))[0] == "silent_loss"
    assert judge(one, (one.names, one.expected)) == ("same", "")
    assert worker.error(ValueError("a\nb")) == "ValueError: a"
