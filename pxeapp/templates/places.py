"""Which line of which template a line of a rendered file comes from, as well as that can be told from its words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from pxeapp.errors import PxeError
from pxeapp.templates.sources import Source, Sources

_TAG = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}")
FEWEST = 3  # characters of a template's own in a line, below which a likeness means nothing


def place(line: str, names: Iterable[str], sources: Sources) -> tuple[str, int] | None:
    """The template's name as it is shown, and the line; of several that would do, the one that says most of it.

    Where a site's own says as much as one of ours, it is the site's.
    """
    best: tuple[int, bool, str, int] | None = None
    for name in names:
        source = sources.find(name)
        if source is None:
            continue
        for number, (pattern, own) in enumerate(_lines(source), 1):
            if pattern is not None and pattern.fullmatch(line):
                found = (own, source.shown != name, source.shown, number)
                if best is None or found[:2] > best[:2]:
                    best = found
    return best and (best[2], best[3])


@lru_cache(maxsize=256)
def _lines(source: Source) -> list[tuple[re.Pattern[str] | None, int]]:
    """Each line as a pattern, and how many characters of it are the template's own. Read again when it was changed."""
    try:
        text = source.text()
    except (OSError, PxeError):
        return []
    return [_pattern(line) for line in text.split("\n")]


def _pattern(line: str) -> tuple[re.Pattern[str] | None, int]:
    pieces = _TAG.split(line)
    own = sum(len(piece.strip()) for piece in pieces)
    if own < FEWEST:
        return None, own
    tags = [".*" if tag.startswith("{{") else ".*?" for tag in _TAG.findall(line)]
    words = [re.escape(piece) for piece in pieces]
    return re.compile("".join(word + tag for word, tag in zip(words, [*tags, ""], strict=True))), own
