"""Prediction cards: nothing of the answer in the page before a choice, and files and notebooks that agree."""

import html
import json
import re
from pathlib import Path

import pytest

from labkit.course import predict, predictions
from tests import refresh_notebooks

ROOT = Path(__file__).resolve().parent.parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FILES = sorted((ROOT / "data" / "questions").glob("*.toml"))
CARDS = [card for file in FILES for card in predictions.read(file).values()]
GOOD = """[one]
question = "How many (in all)?"
because = "Two is 1 + 1 (and < 3)."
options = [
  { text = "one <b>", means = "Nothing would come of it.", test = "Set a to 0 in the panel." },
  { text = "two", right = true },
]
"""


def card(tmp_path, text=GOOD):
    file = tmp_path / "99.toml"
    file.write_text(text)
    return predictions.read(file)["one"]


def readable(page):
    """The text of a card without what is written backwards."""
    return html.unescape(re.sub(r"<[^>]+>", "\n", re.sub(r"<bdo .*?</bdo>&lrm;", "", page))).split()


def shown(page):
    """What a browser shows of the words of each option."""
    back = str.maketrans("()[]{}<>«»‹›≤≥", ")(][}{><»«›‹≥≤")
    words = [re.findall('<bdo dir="rtl">(.*?)</bdo>', part) for part in page.split("<details")[1:]]
    return [" ".join(html.unescape(word)[::-1].translate(back) for word in option) for option in words]


def test_an_option_shows_its_own_reason_and_only_when_chosen(tmp_path):
    page = card(tmp_path)._repr_html_()
    assert shown(page) == ["Not quite. Nothing would come of it. Set a to 0 in the panel.",
                           "Yes. Two is 1 + 1 (and < 3)."]
    assert " ".join(readable(page)) == "Predict, then click your answer. How many (in all)? a) one <b> b) two"
    assert repr(card(tmp_path)) == "Predict: How many (in all)?\n  a) one <b>\n  b) two"


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.id)
def test_before_a_choice_the_options_are_alike_and_say_nothing(card):
    page = card._repr_html_()
    options = " ".join(f"{letter}) {option.text}" for letter, option in zip("abcdefgh", card.options, strict=False))
    assert " ".join(readable(page)) == " ".join(f"Predict, then click your answer. {card.question} {options}".split())
    alike = {re.sub(r"<summary(.*?)>.*?</summary>", r"<summary\1>",
                    re.sub(r"(<bdo dir=\"rtl\">.*?</bdo>&lrm; ?)+", "...", part))
             for part in re.findall("<details.*?</details>", page)}
    assert len(alike) == 1 and not re.search(r"<details[^>]* open\b", page)      # a word of the question may be "open"
    assert card.because not in repr(card)


def test_a_question_is_found_by_its_id_only():
    assert predict("10.never").id == "10.never"
    there = ", ".join(f"'10.{name}'" for name in predictions.questions("10"))
    for id, message in (("10.nothing", f"'10.nothing' is not in data/questions; notebook '10' has {there}"),
                        ("98.never", "'98.never' is not in data/questions; notebook '98' has no questions"),
                        ("../x.y", "has no questions"), ("", "has no questions")):
        with pytest.raises(ValueError, match=re.escape(message)):
            predict(id)


@pytest.mark.parametrize(("old", "new", "message"), [
    ('question = "How many (in all)?"\n', "", "99.toml: [one] question = None: must be a text that is not empty"),
    ('"Two is 1 + 1 (and < 3)."', '" "', "99.toml: [one] because = ' ': must be a text that is not empty"),
    ('means = "Nothing would come of it.", ', "",
     "99.toml: [one] options[0] means = None: must be a text that is not empty"),
    ("right = true", 'right = "yes"', "99.toml: [one] options[1] right = 'yes': must be true or false"),
    ("right = true", 'means = "no"', "99.toml: [one] options: exactly one must have right = true, 0 have"),
    ("right = true", 'right = true, means = "no"', "99.toml: [one] options[1]: means and test are for wrong options"),
    ("test =", "tests =", "99.toml: [one] options[0] tests: no such field; there are means, right, test, text"),
    ('"two"', '"one <b>"', "99.toml: [one] options: two have the same text"),
    ('  { text = "two", right = true },\n', "", "99.toml: [one] options: must be a list of 2 to 8 tables"),
    ("1 + 1", "√1", "99.toml: [one] because: '√' cannot be written backwards"),
    ("[one]", "[one", "99.toml: "),
])
def test_what_is_wrong_with_a_question_is_named(tmp_path, old, new, message):
    assert old in GOOD
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        card(tmp_path, GOOD.replace(old, new))


def cells(path):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def asked(path):
    """The ids a notebook asks, in order; a predict call that takes anything but an id is a mistake."""
    found = []
    for cell in cells(path):
        source = "".join(cell["source"])
        calls = re.findall(r'^course\.predict\("(\d\d\.\w+)"\)$', source, re.MULTILINE)
        assert len(calls) == source.count("predict("), f"{path.name}: course.predict(...) takes just an id: {source}"
        found += calls
    return found


def test_every_question_is_asked_once_in_the_notebook_its_number_names():
    for path in LESSONS:
        assert sorted(asked(path)) == sorted(card.id for card in CARDS if card.id[:2] == path.name[:2]), path.name
    assert {file.stem for file in FILES} <= {path.name[:2] for path in LESSONS}


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_no_stored_card_tells_its_answer(path):
    for cell in cells(path):
        if "predict(" in "".join(cell["source"]):
            (output,) = cell["outputs"]
            page, plain = ("".join(output["data"][kind]) for kind in ("text/html", "text/plain"))
            assert " ".join(readable(page)).removeprefix("Predict, then click your answer. ") \
                == " ".join(plain.removeprefix("Predict:").split())


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_the_stored_result_below_a_card_is_folded(path):
    code = cells(path)
    for n, cell in enumerate(code):
        if "predict(" in "".join(cell["source"]):
            below = [c for c in code[n + 1:] if c["outputs"] and "predict(" not in "".join(c["source"])]
            assert below and below[0]["metadata"].get("collapsed") is True, "run `make notebooks`"
            assert below[0]["metadata"]["jupyter"] == {"outputs_hidden": True}
            assert "collapsed" not in cell["metadata"], "there is nothing to hide in a card"


def first_line(output):
    """What JupyterLab shows of a folded result: the first line of its first output."""
    kinds = ("text/html", "text/markdown", "text/plain")
    shown = output.get("text") or next((output["data"][kind] for kind in kinds if kind in output.get("data", {})), "")
    return "".join(shown).partition("\n")[0]


def measured(text):
    """Numbers as results have them: decimals and per cents, but no version (3.4.23)."""
    return re.findall(r"(?<![\d.])\d+\.\d+(?![\d.])|\d+(?= ?%)", text)


# numbers that are no result: of the question itself, or known before it is asked
GIVEN = ("4-6.5 s after, by round", "border by formula", "time until 99.9 % of the reads")
# their folded results begin with a number
TELLING = {"31_gossip", "32_what_merging_costs", "40_five_ways_to_disagree", "41_write_here_read_there"}


@pytest.mark.parametrize("path", [path for path in LESSONS if path.stem not in TELLING], ids=lambda path: path.stem)
def test_what_a_folded_result_still_shows_is_no_result(path):
    for cell in cells(path):
        if source := re.search(r'predict\("(.*)"\)', "".join(cell["source"])):
            question = predict(source[1]).question
        if cell["metadata"].get("collapsed"):
            line = first_line(cell["outputs"][0])
            given = set(measured(question)) | {number for text in GIVEN if text in line for number in measured(line)}
            assert set(measured(line)) <= given, f"say first what is shown: {line}"


@pytest.mark.parametrize(("line", "found"), [
    ("R = 1: down at 51.5/s", ["51.5"]), ("majority: 100% answered", ["100"]), ("-6 %", ["6"]), ("etcd 3.4.23, 3", []),
    ("mean of 100,000 reads, ms", []), ("99.9 % fresh", ["99.9"])])
def test_a_result_is_known_by_its_numbers(line, found):
    assert measured(line) == found


def code(source="1", output="1", **metadata):
    outputs = [{"output_type": "stream", "name": "stdout", "text": [output]}] if output else []
    return {"cell_type": "code", "source": [source], "outputs": outputs, "metadata": metadata}


def test_folding_goes_from_the_first_result_to_the_next_text():
    text, folded = {"cell_type": "markdown", "source": ["x"]}, {"collapsed": True, "jupyter": {"outputs_hidden": True}}
    page = [code(tags=["a"]), code('course.predict("10.never")'), text, code(output=""), code(tags=["b"]), code(), text,
            code(**json.loads(json.dumps(folded)))]
    refresh_notebooks.fold(page)
    assert [cell.get("metadata") for cell in page] == [
        {"tags": ["a"]}, {}, None, {}, {"tags": ["b"], **folded}, folded, None, {}]
