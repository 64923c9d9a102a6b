"""What histories come in: JSON lines, CSV, Jepsen's EDN, Porcupine's logs; what is wrong with a file, in a line."""

import json
import math
import re

import pytest

from labkit.consistency import Operation, edn, linearizable
from labkit.consistency.__main__ import main
from labkit.consistency.files import load, loaded

NEVER = math.inf
LINE = '{"process": 1, "kind": "write", "args": [1], "result": null, "invoked": 0, "returned": 1}\n'


def row(**changed):
    fields = {"process": 2, "kind": '"read"', "args": "[]", "result": 1, "invoked": 2, "returned": 3, **changed}
    return LINE + "{" + ", ".join(f'"{k}": {v}' for k, v in fields.items() if v is not None) + "}"


def written(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# ------------------------------------------------------------------------------------------- EDN
@pytest.mark.parametrize(
    "text, value",
    [
        ("nil", None),
        ("true", True),
        ("-42", -42),
        ("42N", 42),
        ("4.5e1", 45.0),
        ("4.50M", 4.5),
        ("1/2", 0.5),
        (":a/b", "a/b"),
        ('"a \\"b\\"\\n\\u0041"', 'a "b"\nA'),
        ("\\a", "a"),
        ("\\newline", "\n"),
        ("[1, (2) #{3}]", (1, (2,), frozenset({3}))),
        ('#inst "2026-01-01"', "2026-01-01"),
        ("#user.Op{:a 1}", {"a": 1}),
        ("^{:m 1} [1]", (1,)),
        ("#_ 5 6", 6),
        ("; words\n7", 7),
        ("[]", ()),
        ("{:a {:b nil}}", {"a": {"b": None}}),
    ],
)
def test_edn_values(text, value):
    found = [form.value for form in edn.read(text)]
    assert found == [value]
    assert type(found[0]) is type(value) or isinstance(found[0], type(value))


@pytest.mark.parametrize(
    "text, message",
    [
        ("[1 2", "line 1, column 1: '[' is never closed"),
        ("\n  }", "line 2, column 3: '}' closes nothing"),
        ("[1 }", "line 1, column 4: '}' does not close '['"),
        ('"abc', "line 1, column 1: a text that does not end"),
        ("{:a}", "line 1, column 1: a map with a key that has no value"),
        ("1.2.3", "line 1, column 1: 1.2.3 is not a number"),
        ("1/0", "line 1, column 1: 1/0 divides by zero"),
        ("[" * 200, "line 1, column 102: nested more than 100 deep"),
        ("#{{:a 1}}", "line 1, column 1: a map as a key, or in a set"),
        ("#tag", "line 1, column 5: the text ends in the middle of a value"),
    ],
)
def test_bad_edn_is_named_by_line_and_column(text, message):
    with pytest.raises(ValueError) as error:
        list(edn.read(text))
    assert str(error.value) == message


# ------------------------------------------------------------------------------------------- Jepsen and its kin
JEPSEN = """; a comment, then Jepsen's records in either form
{:process 0, :type :invoke, :f :write, :value 3, :time 10, :index 0}
#jepsen.history.Op{:index 1, :time 11, :type :info, :process :nemesis, :f :start-partition, :value nil}
{:process 1, :type :invoke, :f :read, :value nil}
{:process 1, :type :ok, :f :read, :value 3}
{:process 1, :type :invoke, :f :cas, :value [3 4]}
{:process 0, :type :info, :f :write, :value 3, :error :timeout}
{:process 1, :type :fail, :f :cas, :value [3 4]}
{:process 0, :type :invoke, :f :cas, :value [3 5]}
{:process 1, :type :invoke, :f :read, :value nil}
{:process 0, :type :ok, :f :cas, :value [3 5]}
"""
FROM_JEPSEN = [
    Operation(0, "write", (3,), None, 1, NEVER),
    Operation(1, "read", (), 3, 3, 4),
    Operation(0, "cas", (3, 5), True, 8, 10),
    Operation(1, "read", (), None, 9, NEVER),
]


def test_a_jepsen_history_with_a_map_a_line_or_in_one_vector(tmp_path):
    for text in (JEPSEN, "[" + JEPSEN + "]", "(" + JEPSEN.replace("\n", "\n\n") + ")"):
        found = loaded(written(tmp_path / "history.edn", text))
        assert (found.operations, found.model, found.initial) == (FROM_JEPSEN, "register", ...)
    assert found.lines[0] == 3  # two line feeds for each


def test_keys_by_independent_as_maelstrom_writes_them(tmp_path):
    found = loaded(
        written(
            tmp_path / "history.edn",
            """
{:process 0, :type :invoke, :f :write, :value [7 3]}
{:process 1, :type :invoke, :f :cas, :value [7 [3 4]]}
{:process 0, :type :ok, :f :write, :value [7 3]}
{:process 1, :type :ok, :f :cas, :value [7 [3 4]]}
{:process 0, :type :invoke, :f :read, :value [7 nil]}
{:process 0, :type :ok, :f :read, :value [7 4]}
{:process 0, :type :invoke, :f :read, :value [8 nil]}
{:process 0, :type :ok, :f :read, :value [8 nil]}
""",
        )
    )
    assert (found.model, found.initial) == ("kv", None)
    assert [(o.kind, o.args, o.result) for o in found.operations] == [
        ("put", (7, 3), None),
        ("cas", (7, 3, 4), True),
        ("get", (7,), 4),
        ("get", (8,), None),
    ]
    assert linearizable(found.operations, "kv", initial=None).ok is True
    assert main([str(tmp_path / "history.edn")]) == main([str(tmp_path / "history.edn"), "--model", "register"]) == 0


def test_a_register_may_hold_vectors(tmp_path):
    found = loaded(
        written(
            tmp_path / "h.edn",
            """[{:process 0, :type :invoke, :f :write, :value [1 2]}
{:process 0, :type :ok, :f :write, :value [1 2]}
{:process 0, :type :invoke, :f :read, :value nil} {:process 0, :type :ok, :f :read, :value [1 2]}]""",
        )
    )
    assert found.model == "register"
    assert found.operations[1].result == (1, 2)


def test_porcupine_key_value_log(tmp_path):
    found = loaded(
        written(
            tmp_path / "c01.txt",
            """{:process 0, :type :invoke, :f :append, :key "0", :value "x"}
{:process 1, :type :invoke, :f :get, :key "0", :value nil}
{:process 0, :type :ok, :f :append, :key "0", :value "x"}
{:process 1, :type :ok, :f :get, :key "0", :value ""}
""",
        )
    )
    assert (found.model, found.initial) == ("kv", ...)  # keys start as ""
    assert found.operations == [
        Operation(0, "append", ("0", "x"), None, 1, 3),
        Operation(1, "get", ("0",), "", 2, 4),
    ]


def test_porcupine_etcd_log_has_a_failed_cas_as_an_observation(tmp_path):
    found = load(
        written(
            tmp_path / "etcd.log",
            """INFO  jepsen.util - 0\t:invoke\t:write\t3
INFO  jepsen.util - :nemesis\t:info\t:start\tnil
INFO  jepsen.util - 1\t:invoke\t:cas\t[3 4]
INFO  jepsen.util - 2\t:invoke\t:read\tnil
INFO  jepsen.util - 1\t:fail\t:cas\t[3 4]
INFO  jepsen.util - 2\t:fail\t:read\t:timed-out
INFO  jepsen.util - 0\t:info\t:write\t:timed-out
""",
        )
    )
    assert found == [Operation(0, "write", (3,), None, 1, NEVER), Operation(1, "cas", (3, 4), False, 3, 5)]


@pytest.mark.parametrize(
    "f, answer, model, kinds",
    [
        ("enqueue", "1", "queue", ["enqueue", "dequeue"]),
        ("add", "1", "set", ["add", "read"]),
        ("acquire", "nil", "mutex", ["acquire", "release"]),
    ],
)
def test_other_objects_are_known_by_their_calls(tmp_path, f, answer, model, kinds):
    second = {
        "queue": (":dequeue", "nil", "1"),
        "set": (":read", "nil", "#{1}"),
        "mutex": (":release", "nil", "nil"),
    }
    g, asked, got = second[model]
    found = loaded(
        written(
            tmp_path / "h.edn",
            f"""{{:process 0, :type :invoke, :f :{f}, :value {answer}}}
{{:process 0, :type :ok, :f :{f}, :value {answer}}}
{{:process 0, :type :invoke, :f {g}, :value {asked}}}
{{:process 0, :type :ok, :f {g}, :value {got}}}""",
        )
    )
    assert (found.model, [o.kind for o in found.operations]) == (model, kinds)
    assert linearizable(found.operations, model).ok is True


def test_a_history_in_which_every_call_failed_is_linearizable(tmp_path):
    assert (
        main(
            [
                str(
                    written(
                        tmp_path / "h.edn",
                        """{:process 0, :type :invoke, :f :read, :value nil}
{:process 0, :type :fail, :f :read, :value nil}""",
                    )
                )
            ]
        )
        == 0
    )


def test_csv_by_other_names_and_with_lists_of_arguments(tmp_path):
    text = 'Client,op,args,output,start,end\n1,cas,"[""a"", 1, 2]",false,0,1\n2,write,5,,2,3\n2,read,[],5,4,5\n'
    assert load(written(tmp_path / "h.csv", text)) == [
        Operation(1, "cas", ("a", 1, 2), False, 0, 1), Operation(2, "write", (5,), None, 2, 3),
        Operation(2, "read", (), 5, 4, 5)]


def test_csv(tmp_path):
    assert load(
        written(
            tmp_path / "h.csv",
            """process,kind,key,value,expected,result,invoked,returned
1,put,a,5,,,0,1
ann,get,a,,,"""
            + '"""x"""'
            + """,2,3.5
1,cas,a,"[1, 2]",5,true,1735689600123456789,
1,get,b,,,null,4,5
""",
        )
    ) == [
        Operation(1, "put", ("a", 5), None, 0, 1),
        Operation("ann", "get", ("a",), "x", 2, 3.5),
        Operation(1, "cas", ("a", 5, (1, 2)), None, 1735689600123456789, NEVER),
        Operation(1, "get", ("b",), None, 4, 5),
    ]


# ------------------------------------------------------------------------------------------- what is wrong
HEAD = "process,kind,value,result,invoked,returned\n"
WRONG = {
    "a time as text": (row(invoked='"0"'), "line 2: invoked = '0': must be a number"),
    "a return as text": (
        row(returned='"9"'),
        "line 2: returned = '9': must be a number, or null if the call never",
    ),
    "no result": (row(result=None), "line 2: 'result' is missing; a read that returned has one"),
    "a cas that says ok": (
        row(kind='"cas"', args="[1, 2]", result='"ok"'),
        "line 2: .* a cas returns True, False, or",
    ),
    "empty": ("", "there is no operation in it"),
    "a comment": ("# no more\n", "there is no operation in it"),
    "NaN": (row(invoked="NaN"), "line 2: .*NaN is not JSON"),
    "Infinity": (row(returned="Infinity"), "line 2: .*Infinity is not JSON"),
    "too large": (row(returned="1e999"), "line 2: returned = inf"),
    "no time": (row(invoked="null"), "line 2: invoked = None: must be a number"),
    "backwards": (row(invoked="5"), "line 2: .* must be invoked at a finite time and return at or after it"),
    "args": (row(args="null"), "line 2: args = None: must be a list"),
    "cut off": (LINE + '{"proc', "line 2: one JSON"),
    "deep": (LINE + "[" * 100_000, "line 2: one JSON object"),
    "kind": (row(kind='"pop"'), "line 2: .* kind must be one of"),
    "kind of kind": (row(kind="[1]"), "line 2: .* kind must be one of"),
    "overlap": (row(process="1", invoked="0.5"), "line 2: .* overlaps process 1: write"),
    "transaction": (
        row(kind='"txn"'),
        "line 2: transactions over several keys; this checks single objects, see Elle",
    ),
    "UTF-16": (LINE.encode("utf-16"), "byte 0: this is UTF-16; save it as UTF-8"),
    "UTF-16 without a mark": (LINE.encode("utf-16-le"), "line 1: this is not text, or not UTF-8"),
    "Latin-1": (LINE.encode() + b"\xe9", "line 2, byte 90: this is not UTF-8 text"),
    "a word": ("hello", "line 1: one JSON object"),
    "columns": ("process,kind,from\n", "line 1: column 'from'; the columns"),
    "no column": ("process,kind,invoked\n", "line 1: column 'returned' is missing"),
    "only a head": (HEAD, "there is no operation in it"),
    "cells": (HEAD + "1,read,0,1\n", "line 2: 4 cells under 6 columns"),
    "a column twice": ("process,kind,start,begin\n", "line 1: a column is there twice"),
    "no answer": (HEAD + "1,read,,,0,1\n", "line 2: a read needs a result"),
    "no time there": (HEAD + "1,write,1,,x,1\n", "line 2: invoked = 'x': must be a number"),
    "nan there": (HEAD + "1,write,1,,0,nan\n", "line 2: returned = 'nan': must be a number, or empty"),
    "Elle": (
        "{:process 0, :type :invoke, :f :txn, :value [[:append 3 1] [:r 3 nil]]}",
        r"line 1: transactions over several keys; this checks single objects, see Elle \(github.com/jepsen-io/elle\)",
    ),
    "EDN cut off": ("[{:process 0, :type :invoke\n", "line 1, column 2: '{' is never closed"),
    "no maps": ("[1 2]\n(3)", "line 1: a map with :process, :type, :f and :value is wanted, not 1"),
    "type": (
        "{:process 0, :type :done, :f :read}",
        "line 1: :type is :done; it must be :invoke, :ok, :fail or :info",
    ),
    "no process": ("{:type :ok, :f :read}", "line 1: entry 1 has no :process"),
    "no call": ("\n{:process 0, :type :ok, :f :read}", "line 2: :ok of process 0, which has called nothing"),
    "two calls": (
        "{:process 0, :type :invoke, :f :read}\n" * 2,
        "line 2: process 0 calls read while its read of entry 1",
    ),
    "another end": (
        "{:process 0, :type :invoke, :f :read}\n{:process 0, :type :ok, :f :write}",
        "line 2: process 0 called read, and write ends",
    ),
    "cas": ("{:process 0, :type :invoke, :f :cas, :value 3}", r"line 1: a cas has :value \[expected new\], not 3"),
    "only the nemesis": ("{:process :nemesis, :type :info, :f :start}", "there is no operation in it"),
    "log": (
        "INFO  jepsen.util - 0\t:invoke\n",
        "line 1: 'INFO  jepsen.util - PROCESS :TYPE :FUNCTION VALUE' is wanted",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_cannot_be_used_gives_one_line_with_its_name_and_the_place(name, tmp_path, capsys):
    text, message = WRONG[name]
    assert main([str(written(tmp_path / "file.x", text))]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert re.match(f"error: file.x(, |: ){message}", shown.err), shown.err


def test_a_byte_order_mark_and_large_times_are_fine(tmp_path, capsys):
    begin = 1735689600123456789
    text = row(result=7, invoked=begin, returned=begin + 1)
    assert main([str(written(tmp_path / "h.jsonl", text.encode("utf-8-sig")))]) == 1
    assert capsys.readouterr().out.startswith(
        f"NOT linearizable: after 1 operations no order explains process 2: read() = 7 [{begin}, {begin + 1}]"
    )


@pytest.mark.parametrize("value", ["true", "1.0", '"1"'])
def test_values_of_another_kind_are_other_values(value, tmp_path, capsys):
    assert main([str(written(tmp_path / "h.jsonl", row(result=value)))]) == 1


def test_lists_and_objects_are_values(tmp_path):
    text = LINE.replace("[1]", '[{"b": [1], "a": 2}]') + row(result='{"a": 2, "b": [1]}').splitlines()[1]
    assert main([str(written(tmp_path / "h.jsonl", text))]) == 0


# ------------------------------------------------------------------------------------------- the command
def test_model_and_initial_value_from_the_command_line(tmp_path, capsys):
    path = str(written(tmp_path / "h.jsonl", row(result=1).splitlines()[1]))
    assert main([path]) == 1
    assert main([path, "--initial", "1"]) == 0
    assert main([path, "--initial", "one"]) == 1
    assert main([path, "--model", "set"]) == 2
    assert "a read of a set returns a tuple or a frozenset" in capsys.readouterr().err


def test_the_longest_prefix_is_printed(tmp_path, capsys):
    lines = [
        LINE.replace('"invoked": 0, "returned": 1', f'"invoked": {2 * i}, "returned": {2 * i + 1}')
        for i in range(9)
    ]
    text = "".join(lines) + row(result=5, invoked=90, returned=91).splitlines()[1]
    assert main([str(written(tmp_path / "h.jsonl", text))]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[1:3] == ["the longest linearizable prefix: 9 operations, in this order", "  ... 4 before"]
    assert out[-1] == "  process 1: write(1) [16, 17]"


def test_the_prefix_shows_no_answer_that_was_not_there_yet(tmp_path, capsys):
    """The cas may have succeeded when the read returned 2; that it says no comes later."""
    cas, read = (row(kind='"cas"', args="[1, 2]", result="false", returned=5),
                 row(process=3, result=2, invoked=3, returned=4).removeprefix(LINE))
    text = f"{cas}\n{read}"
    assert main([str(written(tmp_path / "h.jsonl", text))]) == 1
    out = capsys.readouterr().out.splitlines()
    assert "no order explains process 2: cas(1, 2) = False [2, 5]" in out[0]
    assert "  process 2: cas(1, 2) [2, still open]" in out and "  process 3: read() = 2 [3, 4]" in out


@pytest.mark.parametrize("suffix", [".png", ".svg", ".html"])
def test_a_picture(suffix, tmp_path, capsys):
    path = tmp_path / f"where{suffix}"
    assert main([str(written(tmp_path / "h.jsonl", row(result=7))), "--picture", str(path)]) == 1
    raw = path.read_bytes()
    if suffix == ".png":
        assert raw.startswith(b"\x89PNG")
    else:
        assert b"<svg" in raw
        assert b"src=" not in raw and b"<script" not in raw  # a page by itself
    assert main([str(tmp_path / "h.jsonl"), "--picture", "where.gif"]) == 2
    assert "must end in .png, .svg, .html" in capsys.readouterr().err


def test_unknown_is_3(tmp_path):
    def line(process, kind, args, result, begin, end):
        return json.dumps({"process": process, "kind": kind, "args": args, "result": result, "invoked": begin,
                           "returned": end})

    lines = [line(i, "cas", [i % 7, 3 * i % 7], True, 0, 9) for i in range(40)]
    lines += [line(99, "write", [1], None, 0, 9), line(98, "read", [], 9, 10, 11), line(97, "write", [9], None, 0, 1)]
    assert main([str(written(tmp_path / "h.jsonl", "\n".join(lines))), "--budget", "0.1"]) == 3
