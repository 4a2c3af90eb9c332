"""Reads our Markdown pages: fenced blocks, the commands in them, inline code, links and anchors."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))
SHELL = ("", "sh")  # the languages of blocks that hold commands
_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_HEREDOC = re.compile(r"<<'(?P<mark>\w+)'\n.*?^(?P=mark)$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_INLINE = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^(#+) (?P<title>.+)$", re.MULTILINE)
_TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
_RULE = re.compile(r"\|(?: ?:?-+:? ?\|)+")  # below a table's head; without it a browser shows bars
_ENDS = (";", "|", "&&", "||", "(", ")", "&")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block and the heading that it stands under."""

    heading: str
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The page's fenced blocks in their order."""
    text = page.read_text()
    found = []
    for match in _FENCE.finditer(text):
        before = [heading["title"] for heading in _HEADING.finditer(text[: match.start()])]
        found.append(Block(before[-1] if before else "", match["language"], match["text"]))
    return found


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text())


def torn_rows(page: Path) -> list[str]:
    """The first row of whatever looks like a table and is shown as plain text, because it has no head."""
    tables = [match[0].splitlines() for match in _TABLE.finditer(prose(page))]
    return [rows[0] for rows in tables if len(rows) < 2 or not _RULE.fullmatch(rows[1])]


def commands(text: str) -> Iterator[list[str]]:
    """Each command of a shell block, as words; here-documents, redirections and comments are left out."""
    pending = ""
    for line in _HEREDOC.sub("", text).replace("\\\n", " ").splitlines():
        pending = f"{pending}\n{line}" if pending else line
        try:
            words = _words(pending)
        except ValueError:
            continue  # a quotation goes on in the next line
        pending = ""
        yield from _split(words)
    assert not pending, f"a quotation does not end: {pending}"


def _words(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return list(lexer)


def _split(words: list[str]) -> Iterator[list[str]]:
    command: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in _ENDS:
            if command:
                yield command
            command = []
        elif set(word) <= set("<>"):
            skip = True
        else:
            command.append(word)
    if command:
        yield command


def inline(page: Path) -> list[str]:
    """The page's inline code."""
    return _INLINE.findall(prose(page))


def links(page: Path) -> list[str]:
    """The page's links and images that lead into the repository."""
    return [target for target in _LINK.findall(prose(page)) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """The anchors that the page's headings make, as GitHub spells them."""
    titles = (heading["title"] for heading in _HEADING.finditer(prose(page)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
