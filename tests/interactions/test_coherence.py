"""Settings, the study's counts, the demos, the exercises."""

import threading
import tomllib
from pathlib import Path

import pandas as pd
import psutil
import pytest

from labkit import course, files
from labkit.interactions import coherence, demos, exercises, promises, samples, study
from labkit.loopback import serve

EXAMPLES = tomllib.loads(files.data("incoherent.toml").read_text())


def cured(example):
    broken, cure = example["broken"], example["coherent"]
    return {service: broken.get(service, {}) | cure.get(service, {}) for service in broken.keys() | cure.keys()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_planted_incoherences_are_found_and_their_twins_are_clean(name):
    found = coherence.check(EXAMPLES[name]["broken"])
    assert found and all(broken.consequence in repr(broken) for broken in found)
    assert not found.fits and coherence.check(cured(EXAMPLES[name])).fits


def test_there_are_enough_examples():
    assert len(EXAMPLES) >= 12
    assert coherence.check({"producer": {"max_message": "2 MB"}, "broker": {"max_message": "1 MB"}})


def test_units():
    assert coherence.amount("x", "500ms") == 0.5 and coherence.amount("x", "2 MB") == 2e6
    assert coherence.amount("x", 3) == 3 and coherence.amount("x", "noeviction") == "noeviction"
    with pytest.raises(ValueError, match="x = '3 fortnights': unknown unit 'fortnights'; must be one of ns"):
        coherence.amount("x", "3 fortnights")


def test_files_are_read_and_bad_ones_named(tmp_path):
    toml, yaml, jsons = tmp_path / "a.toml", tmp_path / "b.yaml", tmp_path / "c.json"
    toml.write_text("[client]\ntimeout = 1\nattempts = 3\n")
    yaml.write_text("gateway:\n  timeout: 400ms\n  attempts: 2\n")
    jsons.write_text('{"server": {"idempotent": false}}')
    settings = coherence.load(toml, yaml, jsons)
    assert settings["gateway"]["timeout"] == "400ms"
    assert [broken.relation for broken in coherence.check(settings)] == [
        "client retries only what is idempotent", "gateway retries only what is idempotent"]
    bad = (("[client", "x.toml", "x.toml: "), ("a = 1", "y.toml", "a = 1: must be a table of settings"),
           ("{", "z.json", "z.json: "), ("- 1", "l.yaml", "must be a table of services, this is a list"),
           ("", "w.ini", "nobody can tell what it is: must end in .toml"),
           ("[client]\ntimeout = 2", "d.toml", "another file says 1"))
    for text, name, message in bad:
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=message):
            coherence.load(toml, tmp_path / name)
    with pytest.raises(ValueError, match="No such file"):
        coherence.load(tmp_path / "nowhere.toml")
    with pytest.raises(ValueError, match="gateway.timeout = 'soon': must be a number"):
        coherence.check({"gateway": {"timeout": "soon"}, "server": {"timeout": 1}})


def test_the_study_is_reproduced():
    counts = {count.what: count for count in study.COUNTS}
    assert [counts[f"{plane} plane"].count for plane in ("data", "management", "control")] == [61, 39, 20]
    assert counts["crash (of a system, a job or a task)"].count == 89
    assert (counts["fixed upstream, at the interaction"].count, counts["of those, in a connector"].count) == (79, 68)
    incidents = counts["incidents with such a failure"]
    assert incidents.share == 0.2 and [round(100 * x) for x in incidents.interval] == [12, 32]
    assert len(study.table()) == len(study.COUNTS)
    for count in study.COUNTS:
        low, high = count.interval
        assert 0 <= low < count.share < high <= 1
    with pytest.raises(ValueError, match="wilson: count = 9"):
        study.wilson(9, 5)


EXPECTED = {
    "charges": lambda b, c: b["charges"] == b["attempts"] == 3 * b["orders"] and b["answered 200"] == 0
    and c["charges"] == c["orders"] == c["answered 200"],
    "timeouts": lambda b, c: b["served"] == 0 and b["backend executions"] == 2 * b["users"]
    and c["served"] == c["users"] == c["backend executions"],
    "keep_alive": lambda b, c: b["lost, outcome unknown"] == b["second POSTs"] and c["lost, outcome unknown"] == 0,
    "headers": lambda b, c: b["seen"] != b["sent"] and "Ã" in b["seen"] and c["seen"] == c["sent"],
    "big_ids": lambda b, c: b["came back"] == b["sent"] - 1 and c["came back"] == c["sent"],
    "redirect": lambda b, c: b["the server saw"].endswith("GET /v2/pay (0 B)")
    and c["the server saw"].endswith("POST /v2/pay (6 B)"),
    "dialects": lambda b, c: all(len(set(v.split(" / "))) > 1 for v in b.values())
    and all(len(set(v.split(" / "))) == 1 for v in c.values()),
    "members": lambda b, c: b["bytes out"] < b["bytes in"] and c["bytes out"] == c["bytes in"],
    "eviction": lambda b, c: b["errors"] == 0 and b["acknowledged and gone"] > 500 and c["errors"] > 500
    and c["acknowledged and gone"] == 0,
    "proxy": lambda b, c: b["2 MB upload"] == 413 and b["tenant_id the application saw"] is None
    and c["2 MB upload"] == 200 and c["tenant_id the application saw"] == "42"}


@pytest.mark.live
@pytest.mark.parametrize("name", demos.ALL)
def test_each_demo_fails_for_its_reason_and_its_cure_cures_it(name):
    if demos.missing(name):
        pytest.skip(f"no {demos.missing(name)}: apt-get install {demos.missing(name)}")
    me = psutil.Process()
    before, threads = set(me.children(recursive=True)), threading.active_count()
    shown = demos.ALL[name]()
    assert EXPECTED[name](shown.broken, shown.cured), shown
    assert shown.reason in repr(shown) and shown.cure in repr(shown)
    assert set(me.children(recursive=True)) <= before, "a program was left running"
    assert threading.active_count() <= threads + 3
    listening = [line.laddr.ip for line in me.net_connections(kind="inet") if line.status == "LISTEN"]
    assert set(listening) <= {"127.0.0.1"}


def test_promises_are_held_where_a_tool_can_see_them():
    said = promises.messages()
    assert said["as agreed"] == said["cents for euros"] == said["dollars called euros"] == ""
    assert all(said[name] for name in said if name not in ("as agreed", "cents for euros", "dollars called euros"))
    sent = pd.DataFrame({"id": ["9007199254740993", "2"], "zip": ["00731", "04102"], "amount": [1.5, 2.0]})
    assert promises.table(sent) == []
    found = promises.table(sent.assign(id=[9007199254740992, 2], zip=[731, 4102], amount=[-1.0, 2.0]))
    assert found == ["amount, row 0: -1.0 (float64), must be above 0",
                     "id, row 0: 9007199254740992 (int64), must be text", "zip, row 0: 731 (int64), must be text"]
    assert promises.table(sent.drop(columns="zip")) == ["zip: this column must be there"]
    assert promises.table(sent.assign(zip=["00731", "4-2"])) == ["zip, row 1: 4-2 (str), must be digits only"]


def test_a_service_that_lies_from_fifty_on_is_caught_at_fifty():
    assert promises.catch(promises.service(honest=False)).startswith("GET /orders/50: ")
    assert promises.catch(promises.service(honest=True)) == ""


def test_nothing_listens_after_the_block_even_if_it_raises():
    seen = []
    with pytest.raises(KeyError), serve(lambda request, body: (200, {}, b"")) as url:
        seen.append(int(url.rpartition(":")[2]))
        raise KeyError
    assert not [line for line in psutil.Process().net_connections(kind="inet")
                if line.status == "LISTEN" and line.laddr.port in seen]


def test_no_dice_in_the_part():
    for file in Path(coherence.__file__).parent.glob("*.py"):
        if file.name not in ("samples.py", "matrix.py"):        # learners' data; the seed of Hypothesis
            assert "import random" not in file.read_text() and "np.random" not in file.read_text(), file
    orders = samples.orders(2000, 0.5, 0.25, 0)
    assert 0.4 < sum(not o.name.isascii() for o in orders) / 2000 < 0.6 and all(o.seconds < 1 for o in orders)
    assert samples.orders(50, seed=3) == samples.orders(50, seed=3)
    with pytest.raises(ValueError, match="samples.orders: accents = 2"):
        samples.orders(accents=2)


@pytest.mark.parametrize("exercise,answer,complaint", [
    (exercises.UPPER, 20, "too low"), (exercises.UPPER, 45, "too high"), (exercises.UPPER, 0.334, "in percent"),
    (exercises.SILENT_TEXT, "Ann", "unchanged"), (exercises.SILENT_TEXT, "ZoÃ«", "the pair of the page"),
    (exercises.SILENT_TEXT, "Zoë", "fails loudly: UnicodeDecodeError"), (exercises.SILENT_TEXT, "Łukasz", "Ł is not"),
    (exercises.DENOMINATOR, 82, "data-plane failures"), (exercises.DENOMINATOR, 0.417, "in percent"),
    (exercises.DENOMINATOR, 50, "divide by all failures"),
    (exercises.TEXTS, pd.DataFrame({"v": ["ten", "1e5"]}), "which texts with a letter look like numbers"),
    (exercises.TEXTS, pd.DataFrame({"v": ["00731", "04102"]}), "'00731' is not a text with a letter"),
    (exercises.TEXTS, 7, "a DataFrame with one column"), (exercises.SURVIVOR, "csv", "smallest share")])
def test_wrong_answers_are_told_what_is_wrong(exercise, answer, complaint):
    verdict = course.check(exercise, answer)
    assert not verdict and complaint in repr(verdict)
