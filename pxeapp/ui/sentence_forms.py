"""Which form a sentence was filled in from, among thousands: `No answer from %(where)s after %(span)s.`

A list of a hundred machines asks for each of its sentences, so that only the few forms are tried that begin, or end, as
the sentence does; their patterns are made when they are first tried.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

HOLE = re.compile(r"%\((\w+)\)s")
LEAST_FIXED = len("too few")  # of a form; with less it would fit nearly anything
KEY = 8  # characters of its beginning or end that a form is found by


@dataclass(frozen=True)
class Form:
    """A message with holes, and its translation."""

    names: tuple[str, ...]
    fixed: tuple[str, ...]  # what stands before, between and behind the holes
    translated: str

    @functools.cached_property
    def weight(self) -> int:
        """How much of it is fixed: the more, the better it says what was meant."""
        return sum(map(len, self.fixed))

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        pattern = re.escape(self.fixed[0])
        for name, rest in zip(self.names, self.fixed[1:], strict=True):
            pattern += f"(?P<{name}>.+?)" + re.escape(rest)
        return re.compile(pattern, re.DOTALL)

    def read(self, sentence: str) -> dict[str, str] | None:
        """What the holes of this sentence hold; None where it is no such sentence."""
        if not all(part in sentence for part in self.fixed):
            return None
        found = self._pattern.fullmatch(sentence)
        return found.groupdict() if found else None


class Forms:
    """All forms of a language."""

    def __init__(self, messages: Iterable[tuple[str, str]]) -> None:
        self._by_beginning: dict[str, list[Form]] = defaultdict(list)
        self._by_end: dict[str, list[Form]] = defaultdict(list)
        for form in _read(messages):
            if form.fixed[0]:
                self._by_beginning[form.fixed[0][:KEY]].append(form)
            else:
                self._by_end[form.fixed[-1][-KEY:]].append(form)

    def of(self, sentence: str) -> Iterator[Form]:
        """The forms that it may be of, those first of which most is fixed."""
        found: list[Form] = []
        for length in range(KEY + 1):
            found += self._by_beginning.get(sentence[:length], ()) if length else ()
            found += self._by_end.get(sentence[-length:] if length else "", ())
        yield from sorted(found, key=lambda form: -form.weight)


def _read(messages: Iterable[tuple[str, str]]) -> Iterator[Form]:
    for message, translated in messages:
        names = HOLE.findall(message)
        if not names or len(set(names)) != len(names):
            continue
        fixed = tuple(part.replace("%%", "%") for part in HOLE.split(message)[::2])
        form = Form(tuple(names), fixed, translated)
        if form.weight >= LEAST_FIXED:
            yield form
