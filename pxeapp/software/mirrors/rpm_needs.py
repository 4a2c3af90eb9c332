"""What rpm packages require, rich dependencies too, read into needs; conservative: in doubt a package is taken.

`(a or b)` is an alternative and `(a and b)` are two needs. `(a if b)` takes `a` wherever there is one, since `b` may be
on the machine from elsewhere, and `a` is missed only where `b` is chosen. `(a unless b)` means `a or b`. Of `with` and
`without` a single package must be all of it. Source: rpm's manual, "Boolean Dependencies".
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from pxeapp.software.mirrors.needs import Atom, Need, merged

# What rpm itself can do, and what no package file provides.
IGNORED = re.compile(r"rpmlib\(|rtld\(|solvable:")
RELATIONS = {
    "<": "<<", "<=": "<=", "=": "=", "==": "=", ">=": ">=", ">": ">>",
    "LT": "<<", "LE": "<=", "EQ": "=", "GE": ">=", "GT": ">>",
}  # fmt: skip
_OPERATORS = ("and", "or", "if", "unless", "with", "without", "else")
MAX_DEPTH = 20
_VERSION = re.compile(r"\s*(?P<relation><=|>=|==|=|<|>)\s*(?P<version>[^\s()]+)")


@lru_cache(maxsize=65536)
def read(text: str, *, weak: bool = False) -> tuple[Need, ...]:
    """One entry of Requires as needs; what cannot be read stays a name that nothing has, so that it is listed."""
    text = text.strip()
    if not text or IGNORED.match(text):
        return ()
    try:
        needs = _Reader(text).whole()
    except ValueError:
        needs = (Need((Atom(text),)),)
    return tuple(replace(need, weak=True) for need in needs) if weak else needs


def atom(name: str, relation: str = "", version: str = "") -> Atom:
    """A plain entry; where there is no version there is no relation."""
    return Atom(name, RELATIONS.get(relation, "") if version else "", version)


class _Reader:
    """Reads one expression from left to right; raises ValueError where it is none."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def whole(self) -> tuple[Need, ...]:
        needs = self._operand()
        self._skip()
        if self._at != len(self._text):
            raise ValueError(self._text)
        return merged(needs)

    def _skip(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1

    def _operand(self) -> tuple[Need, ...]:
        self._skip()
        if self._text.startswith("(", self._at):
            return self._group()
        return (Need((self._plain(),)),)

    def _group(self) -> tuple[Need, ...]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError("too deep")
        self._at += 1
        left = self._operand()
        while (operator := self._operator()) is not None:
            left = _joined(left, operator, self._operand())
        self._skip()
        if not self._text.startswith(")", self._at):
            raise ValueError(self._text)
        self._at += 1
        self._depth -= 1
        return left

    def _operator(self) -> str | None:
        self._skip()
        word = re.match(r"[a-z]+(?=\s)", self._text[self._at :])
        if word is None or word.group() not in _OPERATORS:
            return None
        self._at += len(word.group())
        return word.group()

    def _plain(self) -> Atom:
        """A name, in which pairs of brackets are its own (`libc.so.6(GLIBC_2.4)(64bit)`), and perhaps a version."""
        start, open_ = self._at, 0
        while self._at < len(self._text):
            char = self._text[self._at]
            if char.isspace() or (char == ")" and not open_):
                break
            open_ += {"(": 1, ")": -1}.get(char, 0)
            self._at += 1
        name = self._text[start : self._at]
        if not name or open_:
            raise ValueError(self._text)
        version = _VERSION.match(self._text, self._at)
        if version is None:
            return Atom(name)
        self._at = version.end()
        return atom(name, version["relation"], version["version"])


def _joined(left: tuple[Need, ...], operator: str, right: tuple[Need, ...]) -> tuple[Need, ...]:
    if operator == "and":
        return (*left, *right)
    if operator in ("or", "unless"):
        return tuple(
            Need((*one.any_of, *other.any_of), weak=one.weak and other.weak, only_if=one.only_if or other.only_if)
            for one in left
            for other in right
        )
    if operator == "if":
        return tuple(replace(need, only_if=right[0].any_of[0].name) for need in left)
    if operator == "else":  # of an `if`: only where the condition does not hold, so that nobody misses it
        return (*left, *(replace(need, weak=True) for need in right))
    names = tuple(each.name for need in right for each in need.any_of)
    also, without = (names, ()) if operator == "with" else ((), names)
    return tuple(
        replace(
            need,
            any_of=tuple(
                replace(each, also=(*each.also, *also), without=(*each.without, *without)) for each in need.any_of
            ),
        )
        for need in left
    )
