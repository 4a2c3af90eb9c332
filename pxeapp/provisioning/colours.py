"""A unified difference in the colours that terminals give it; click takes them out where it writes to no terminal."""

from __future__ import annotations

import click

COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def coloured(diff: str) -> str:
    """The same text, what goes in red and what comes in green; its two headlines bold."""
    return "".join(_line(line) for line in diff.splitlines(keepends=True))


def _line(line: str) -> str:
    if line.startswith(("--- ", "+++ ")):
        return click.style(line, bold=True)
    colour = COLOURS.get(line[:1])
    return click.style(line, fg=colour) if colour else line
