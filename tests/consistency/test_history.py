"""Stale reads and session guarantees on histories worked out by hand; files; the command."""

import math

import pytest

from labkit import files
from labkit.consistency import Operation, history, linearizable
from labkit.consistency.__main__ import main


def w(process, value, begin, end):
    return Operation(process, "write", (value,), None, begin, end)


def r(process, value, begin, end):
    return Operation(process, "read", (), value, begin, end)


def test_a_read_is_stale_only_if_its_value_was_overwritten_before_it_began():
    stale = r(3, 1, 6, 7)
    calls = [w(1, 1, 0, 1), w(2, 2, 2, 5), r(3, 1, 3, 4), stale, r(4, 2, 6, 7)]
    assert history.stale_reads(calls) == [stale]
    assert history.stale_reads([w(1, 1, 0, 5), w(2, 2, 1, 4), r(3, 1, 6, 7)]) == []     # the writes overlap
    assert history.stale_reads([w(1, 1, 0, 3), w(2, 2, 1, 5), r(3, 1, 6, 7)]) == []     # also if the other ends last
    assert history.stale_reads([w(1, 1, 0, math.inf), w(2, 2, 1, 4), r(3, 1, 6, 7)]) == []      # it may come late
    assert len(history.stale_reads([w(1, 1, 0, 1), r(2, None, 2, 3)])) == 1
    with pytest.raises(ValueError, match="two writes have the same value"):
        history.stale_reads([w(1, 1, 0, 1), w(1, 1, 2, 3)])


@pytest.mark.parametrize("name, calls", [
    ("read your writes", [w(1, 1, 0, 1), r(1, None, 2, 3)]),
    ("monotonic reads", [w(1, 1, 0, 9), r(2, 1, 1, 2), r(2, None, 3, 4)]),
    ("monotonic writes", [w(1, 1, 0, 1), w(1, 2, 2, 3), r(2, 2, 4, 5), r(2, None, 6, 7)]),
    ("writes follow reads", [w(1, 1, 0, 1), r(2, 1, 2, 3), w(2, 2, 4, 5), r(3, 2, 6, 7), r(3, None, 8, 9)]),
])
def test_each_session_guarantee_has_a_history_that_breaks_it(name, calls):
    assert history.session_violations(calls)[name] == 1
    assert not any(history.session_violations(calls[:-1]).values())


def cas(process, old, new, result, begin, end):
    return Operation(process, "cas", (old, new), result, begin, end)


def test_a_cas_that_succeeded_reads_what_it_expected_and_writes():
    late = cas(3, 1, 9, True, 6, 7)
    assert history.stale_reads([w(1, 1, 0, 1), cas(2, 1, 2, True, 2, 3), late]) == [late]
    assert history.stale_reads([w(1, 1, 0, 1), cas(2, 1, 2, True, 2, 3), r(3, 1, 4, 5)]) == [r(3, 1, 4, 5)]
    for unsure in (cas(2, 1, 2, False, 2, 3), cas(2, 1, 2, None, 2, 3), cas(2, 1, 2, True, 2, math.inf)):
        assert history.stale_reads([w(1, 1, 0, 1), unsure, r(3, 1, 4, 5)]) == []
    assert history.stale_reads([w(1, 1, 0, 1), cas(2, 1, 2, None, 2, 3), r(3, 2, 4, 5)]) == []
    assert history.session_violations([w(1, 1, 0, 1), cas(2, 1, 2, True, 2, 3), r(2, 1, 4, 5)]) == {
        "read your writes": 1, "monotonic reads": 0, "writes follow reads": 0, "monotonic writes": 0}
    assert history.session_violations([w(1, 1, 0, 1), w(1, 2, 2, 3), r(2, 2, 4, 5), cas(2, 1, 3, True, 6, 7)])[
        "monotonic reads"] == 1


def test_a_write_that_never_came_back_binds_nobody():
    assert not any(history.session_violations([w(1, 1, 0, 1), w(1, 2, 2, math.inf), r(1, 1, 4, 5)]).values())


@pytest.mark.parametrize("judge", [history.stale_reads, history.session_violations])
def test_what_nobody_wrote_and_what_two_wrote_is_refused(judge):
    with pytest.raises(ValueError, match=r"process 2: read\(\) = 7 \[2, 3\] saw a value that no call of the"):
        judge([w(1, 1, 0, 1), r(2, 7, 2, 3)])
    assert not judge([r(2, 7, 2, 3)], initial=7) or not any(judge([r(2, 7, 2, 3)], initial=7).values())
    with pytest.raises(ValueError, match="two writes have the same value"):
        judge([w(1, 1, 0, 1), cas(2, 1, 1, True, 2, 3)])
    with pytest.raises(ValueError, match="writes the initial value"):
        judge([w(1, None, 0, 1)])
    with pytest.raises(ValueError, match=r"read\(\) = True \[2, 3\] saw a value that no call"):
        judge([w(1, 1, 0, 1), r(2, True, 2, 3)])


def test_what_was_dumped_is_loaded(tmp_path):
    calls = [w(1, 5, 0, 2.5), r("ann", None, 3, 4), Operation(1, "cas", (5, 6), None, 5, math.inf)]
    history.dump(calls, tmp_path / "h.jsonl")
    assert history.load(tmp_path / "h.jsonl") == calls


@pytest.mark.parametrize("line, problem", [
    ("{", "Expecting property name"), ('{"process": 1}', "'kind' is missing"), ("[1, 2]", "not [1, 2]"),
    ("7", "not 7")])
def test_a_bad_line_is_named(line, problem):
    with pytest.raises(ValueError, match="^pasted, line 3: one JSON object with process, kind") as error:
        history.parse("# comment\n\n" + line, "pasted")
    assert problem in str(error.value)


def test_the_command(tmp_path, capsys):
    assert main([str(files.data("etcd_stale_read.jsonl"))]) == 1
    assert capsys.readouterr().out.startswith("NOT linearizable: after 3 operations no order explains process 25")
    history.dump([w(1, 1, 0, 1), r(2, 1, 2, 3)], tmp_path / "fine.jsonl")
    assert main([str(tmp_path / "fine.jsonl")]) == 0
    assert main([str(tmp_path / "fine.jsonl"), "--model", "kv"]) == 2
    assert "kind must be one of 'get', 'put', 'append'" in capsys.readouterr().err
    assert main([str(tmp_path / "missing.jsonl")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_sample_is_a_real_stale_read():
    calls = history.load(files.data("etcd_stale_read.jsonl"))
    assert [read.result for read in history.stale_reads(calls)] == [1]
    assert linearizable(calls).blocking == history.stale_reads(calls)[0]
