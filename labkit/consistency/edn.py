"""A reader of EDN, the notation of Jepsen's histories: the part of it that a history uses.

Ours, in a page: `edn_format` on PyPI builds on a parser generator, had its last release in 2021, and knows no line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

TOKEN = re.compile(r'''[\s,]+|;[^\n]*                            # between tokens
    | (?P<open>\#\{|[\[({])  | (?P<close>[\])}])
    | "(?P<text>(?:[^"\\]|\\.)*)"
    | \\(?P<char>newline|space|tab|return|u[0-9a-fA-F]{4}|.)
    | \#_(?P<discard>) | \#(?P<tag>[^\s,\[\](){}"]+) | \^(?P<meta>)
    | (?P<atom>[^\s,;"\[\](){}\\]+)''', re.VERBOSE | re.DOTALL)
CLOSING = {"[": "]", "(": ")", "{": "}", "#{": "}"}
NUMBER = re.compile(r"[+-]?\d+(N)?$|[+-]?\d+(\.\d*)?([eE][+-]?\d+)?M?$|[+-]?\d+/\d+$")
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\", "/": "/"}
CHARACTERS = {"newline": "\n", "space": " ", "tab": "\t", "return": "\r"}
DEEP = 100


class Keyword(str):
    """`:name`; equal to the text "name" for looking up, and shown with its colon."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f":{self}"


class Symbol(str):
    """A bare word that is neither nil, true nor false."""

    __slots__ = ()


@dataclass(frozen=True)
class Form:
    """A value and where it begins: line and column, from 1."""

    value: Any
    line: int
    column: int


def read(text: str) -> Iterator[Form]:
    """The values of a text one after the other: maps as dicts, vectors and lists as tuples, sets as frozensets.

    Integers and floats keep their kinds, a ratio becomes a float; tags and metadata are dropped. ValueError says what
    is wrong, with line and column.

    >>> [form.value for form in read('{:f :read, :value [1 nil]} ; a comment')]
    [{:f: :read, :value: (1, None)}]
    """
    reader = _Reader(text)
    while reader.more():
        at = reader.position
        yield Form(reader.value(0), *reader.place(at))


def items(text: str) -> Iterator[Form]:
    """The same; of a text that is one vector or list, what is in it."""
    reader = _Reader(text)
    if not reader.more():
        return
    opening, begin = text[reader.position], reader.position
    closing = CLOSING[opening] if opening in "[(" else ""
    reader.position += bool(closing)
    while reader.more():
        at = reader.position
        if closing and text[at] == closing:
            reader.position += 1
            if reader.more():
                raise reader.wrong("there is more after the end of the history", reader.position)
            return
        yield Form(reader.value(0), *reader.place(at))
    if closing:
        raise reader.wrong(f"{opening!r} is never closed", begin)


class _Reader:
    def __init__(self, text: str):
        self.text, self.position = text, 0
        self.line, self.line_at = 1, 0                  # up to where lines are counted

    def place(self, position: int) -> tuple[int, int]:
        """Line and column, from 1."""
        if position >= self.line_at:
            self.line += self.text.count("\n", self.line_at, position)
            self.line_at = position
            line = self.line
        else:
            line = 1 + self.text.count("\n", 0, position)
        return line, position - self.text.rfind("\n", 0, position)

    def wrong(self, what: str, position: int) -> ValueError:
        line, column = self.place(position)
        return ValueError(f"line {line}, column {column}: {what}")

    def match(self) -> re.Match[str]:
        found = TOKEN.match(self.text, self.position)
        if found is None:
            what = "a text that does not end" if self.text[self.position] == '"' else "this is not EDN"
            raise self.wrong(what, self.position)
        return found

    def more(self) -> bool:
        """Move to the next value; is there one?"""
        while self.position < len(self.text):
            found = self.match()
            if found.lastgroup == "discard":
                self.position = found.end()
                self.value(0)
            elif found.lastgroup is not None:
                return True
            else:
                self.position = found.end()
        return False

    def value(self, depth: int) -> Any:
        """The value here."""
        if not self.more():
            raise self.wrong("the text ends in the middle of a value", len(self.text))
        begin, found = self.position, self.match()
        if depth > DEEP:
            raise self.wrong(f"nested more than {DEEP} deep", begin)
        kind, self.position = found.lastgroup, found.end()
        if kind == "open":
            return self.collection(found["open"], begin, depth + 1)
        if kind == "close":
            raise self.wrong(f"{found['close']!r} closes nothing", begin)
        if kind == "text":
            return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", _unescaped, found["text"], flags=re.DOTALL)
        if kind == "char":
            name = found["char"]
            return CHARACTERS.get(name) or (chr(int(name[1:], 16)) if len(name) == 5 else name)
        if kind == "meta":
            self.value(depth + 1)
        if kind in ("meta", "tag"):
            return self.value(depth + 1)
        return self.atom(found["atom"], begin)

    def collection(self, opening: str, begin: int, depth: int) -> Any:
        items = []
        while True:
            if not self.more():
                raise self.wrong(f"{opening!r} is never closed", begin)
            if self.text[self.position] in "])}":
                break
            items.append(self.value(depth))
        if self.text[self.position] != CLOSING[opening]:
            raise self.wrong(f"{self.text[self.position]!r} does not close {opening!r}", self.position)
        self.position += 1
        try:
            if opening == "{":
                if len(items) % 2:
                    raise self.wrong("a map with a key that has no value", begin)
                return dict(zip(items[::2], items[1::2], strict=True))
            return frozenset(items) if opening == "#{" else tuple(items)
        except TypeError:
            raise self.wrong("a map as a key, or in a set", begin) from None

    def atom(self, word: str, begin: int) -> Any:
        if word in ("nil", "true", "false"):
            return {"nil": None, "true": True, "false": False}[word]
        if word[0] == ":" and len(word) > 1:
            return Keyword(word[1:])
        if NUMBER.match(word):
            if "/" in word:
                above, below = word.split("/")
                if not int(below):
                    raise self.wrong(f"{word} divides by zero", begin)
                return int(above) / int(below)
            whole = word.rstrip("NM")
            return int(whole) if whole.lstrip("+-").isdigit() and word[-1] != "M" else float(whole)
        if word[0].isdigit():
            raise self.wrong(f"{word} is not a number", begin)
        return Symbol(word)


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    return chr(int(code[1:], 16)) if len(code) == 5 else ESCAPES.get(code, code)
