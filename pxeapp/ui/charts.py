"""Charts as SVG, made here: numbers in, places of shapes out. No chart is the only place where a number stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 180
BAR, GAP = 20, 8
LABEL = 150  # of the width, for the words before bars


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a chart of bars: up to `main`, and a mark at `mark`."""

    label: str
    y: int
    main: float
    mark: float
    text: str


@dataclass(frozen=True, slots=True)
class Column:
    """One day: what succeeded stands on what failed."""

    x: float
    width: float
    good: float
    good_y: float
    bad: float
    bad_y: float
    text: str


def bars(lines: Sequence[tuple[str, float, float, str]]) -> list[Bar]:
    """From label, value, mark and text of each line; the longest fills the width."""
    longest = max((max(value, mark) for _label, value, mark, _text in lines), default=0) or 1
    room = WIDTH - LABEL - 130
    return [
        Bar(label, number * (BAR + GAP), round(room * value / longest, 1), round(room * mark / longest, 1), text)
        for number, (label, value, mark, text) in enumerate(lines)
    ]


def columns(days: Sequence[tuple[int, int, str]]) -> list[Column]:
    """From how many succeeded and failed each day, and what a reader is told of it."""
    most = max((good + bad for good, bad, _text in days), default=0) or 1
    step = WIDTH / max(len(days), 1)
    found = []
    for number, (good, bad, text) in enumerate(days):
        tall, low = HEIGHT * good / most, HEIGHT * bad / most
        x, width = round(number * step, 2), round(max(step * 0.8, 0.5), 2)
        found.append(
            Column(x, width, round(tall, 1), round(HEIGHT - low - tall, 1), round(low, 1), round(HEIGHT - low, 1), text)
        )
    return found
