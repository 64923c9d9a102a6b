"""Commit first, then see: cards whose question, options and reasons are in `data/questions/NN.toml`.

A card is plain HTML, no widget: it works without a kernel, on GitHub, with the keyboard alone, and in nbval. What an
option opens is kept out of sight until it is chosen, and out of the page's source, too: each word is written backwards
inside `<bdo dir="rtl">`, which every browser sets the right way round again without any script or style. Where scripts
run, opening an option turns its words into plain text, for screen readers, search and copying, and only then colours
the verdict.
"""

from __future__ import annotations

import html
import re
import tomllib
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit import files

CARD = "border:1px solid #B9C6D2;border-left:5px solid #0072B2;padding:8px 14px;margin:6px 0;max-width:760px"
LETTERS = "abcdefgh"
PAIRS = "()[]{}<>«»‹›≤≥"     # drawn as their partner where the text runs from right to left
UNFOLD = ("if(this.open)this.querySelectorAll('b,span').forEach(function(part){var words=part.querySelectorAll('bdo');"
          f"if(words.length)part.textContent=Array.from(words,function(word){{var pairs='{PAIRS}';"
          "return Array.from(word.textContent).reverse().map(function(c){var i=pairs.indexOf(c);"
          "return i<0?c:pairs[i^1]}).join('')}).join(' ');"
          "if(part.tagName=='B')part.style.color=part.textContent[0]=='Y'?'#009E73':'#D55E00'})")


@dataclass(frozen=True)
class Option:
    """One answer on offer: `means` says where a wrong one leads astray, `test` where that can be tried out."""

    text: str
    right: bool = False
    means: str = ""
    test: str = ""


@dataclass(frozen=True)
class Prediction:
    """A question with options; choosing one opens it: why it is right, or what choosing it would mean."""

    id: str
    question: str
    because: str
    options: tuple[Option, ...]

    def __repr__(self) -> str:
        lines = [f"  {letter}) {option.text}" for letter, option in zip(LETTERS, self.options, strict=False)]
        return "\n".join(["Predict: " + self.question, *lines])

    def _repr_html_(self) -> str:
        return (f'<div class="mathjax_ignore" style="{CARD}">'
                f"<b>Predict, then click your answer.</b> {html.escape(self.question)}"
                + "".join(self._choice(letter, option) for letter, option in zip(LETTERS, self.options, strict=False))
                + "</div>")

    def _choice(self, letter: str, option: Option) -> str:
        verdict = "Yes." if option.right else "Not quite."
        reason = self.because if option.right else f"{option.means} {option.test}"
        return (f'<details name="predict-{html.escape(self.id)}" style="margin:4px 0" '
                f'ontoggle="{html.escape(UNFOLD)}"><summary style="cursor:pointer">'
                f'{letter}) {html.escape(option.text)}</summary><p style="margin:4px 0 6px 20px">'
                f"<b>{backwards(verdict)}</b> <span>{backwards(reason)}</span></p></details>")


def backwards(text: str) -> str:
    """HTML that shows `text` and does not contain it: word by word, so that lines break as usual.

    The left-to-right mark keeps the words in order where a browser overrides directions without isolating.
    """
    swap = str.maketrans({a: PAIRS[i ^ 1] for i, a in enumerate(PAIRS)})
    return " ".join(f'<bdo dir="rtl">{html.escape(word.translate(swap)[::-1])}</bdo>&lrm;' for word in text.split())


def predict(id: str) -> Prediction:
    """The card of a question to commit to before the experiment: `predict("10.spike")` is in data/questions/10.toml.

    Raises ValueError for an id that is not there (and says which are), and for a question that is not complete.
    """
    number, _, name = id.partition(".")
    known = questions(number)
    if name not in known:
        raise ValueError(f"predict: {id!r} is not in data/questions; notebook {number!r} has "
                         + (", ".join(f"'{number}.{key}'" for key in known) or "no questions"))
    return known[name]


def questions(number: str) -> dict[str, Prediction]:
    """All questions of the notebook with that two-digit number, by name; empty if there are none."""
    if not re.fullmatch(r"\d\d", number):
        return {}
    try:
        file = files.data(f"questions/{number}.toml")
    except FileNotFoundError:
        return {}
    return read(file)


def read(file: Path) -> dict[str, Prediction]:
    """The questions of one file; ValueError names the file, the question and the field that is wrong."""
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{file.name}: {error}") from None
    return {name: _question(f"{file.name}: [{name}]", f"{file.stem}.{name}", table) for name, table in tables.items()}


def _question(where: str, id: str, table: Any) -> Prediction:
    if not isinstance(table, dict):
        raise ValueError(f"{where}: must be a table with question, because and options")
    _only(where, table, {"question", "because", "options"})
    entries = table.get("options")
    if not isinstance(entries, list) or not 2 <= len(entries) <= len(LETTERS):
        raise ValueError(f"{where} options: must be a list of 2 to {len(LETTERS)} tables")
    options = tuple(_option(f"{where} options[{i}]", entry) for i, entry in enumerate(entries))
    right = sum(option.right for option in options)
    if right != 1:
        raise ValueError(f"{where} options: exactly one must have right = true, {right} have")
    if len({option.text for option in options}) < len(options):
        raise ValueError(f"{where} options: two have the same text")
    return Prediction(id, _text(where, table, "question"), _text(where, table, "because"), options)


def _option(where: str, entry: Any) -> Option:
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: must be a table with text, and right or means")
    _only(where, entry, {"text", "right", "means", "test"})
    right = entry.get("right", False)
    if not isinstance(right, bool):
        raise ValueError(f"{where} right = {right!r}: must be true or false")
    if right and (entry.get("means") or entry.get("test")):
        raise ValueError(f"{where}: means and test are for wrong options; the reason of the right one is `because`")
    return Option(_text(where, entry, "text"), right, "" if right else _text(where, entry, "means"),
                  _text(where, entry, "test") if entry.get("test") else "")


def _only(where: str, table: dict[str, Any], fields: set[str]) -> None:
    unknown = sorted(set(table) - fields)
    if unknown:
        raise ValueError(f"{where} {unknown[0]}: no such field; there are {', '.join(sorted(fields))}")


def _text(where: str, table: dict[str, Any], field: str) -> str:
    value = table.get(field)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where} {field} = {value!r}: must be a text that is not empty")
    odd = [c for c in value if unicodedata.mirrored(c) and c not in PAIRS or unicodedata.combining(c)]
    if odd:
        raise ValueError(f"{where} {field}: {odd[0]!r} cannot be written backwards")
    return value
