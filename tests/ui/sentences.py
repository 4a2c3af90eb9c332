"""Every sentence that our code may put before a person, as it is looked up: with holes for what is filled in."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pxeapp

ROOT = Path(pxeapp.__file__).parent
# Said at a terminal, on the machine of whoever runs it, or to programs: no page shows it.
ELSEWHERE = (
    "*/commands.py", "*_commands.py", "*_command.py", "cli.py", "own_api.py", "commandline.py", "api/*", "client/*",
    "lab/*", "migrations/*", "processes/*", "config.py", "config/*", "webserver.py", "supervisor/*",
    "consoles/serving*", "provisioning/diagram.py",
)  # fmt: skip
DESCRIBED = ("description", "help", "title", "summary", "metavar", "pattern", "short_help", "match")
SAYS = ("says", "tell", "progress")  # what goes on, without a full stop
LEAST_WORDS = 3
PROGRAM = re.compile(r"\(\?|\]\{|\]\+|\AVACUUM ")  # patterns, and SQL
TAIL = re.compile(r"[.?!](\s|`|\)|')*\Z")


def all_of() -> Iterator[tuple[str, str]]:
    """Each with the place it stands at."""
    for file in sorted(ROOT.rglob("*.py")):
        place = file.relative_to(ROOT)
        if not any(place.match(pattern) or str(place).startswith(pattern.rstrip("*")) for pattern in ELSEWHERE):
            for line, sentence in sorted(of(file.read_text())):
                yield f"{place}:{line}", sentence


def of(source: str) -> set[tuple[int, str]]:
    """The sentences of a module, with their lines."""
    found: set[tuple[int, str]] = set()
    tree = ast.parse(source)
    left_out = set(_not_said(tree))
    shown = set(_shown_as_it_goes(tree))
    for node in ast.walk(tree):
        if id(node) not in left_out and isinstance(node, (ast.Constant, ast.JoinedStr)):
            text = message(node)
            if text and (_is_sentence(text) or (id(node) in shown and " " in text)):
                found.add((node.lineno, text))
    return found


def message(node: ast.Constant | ast.JoinedStr) -> str:
    """As a catalogue has it."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    names: list[str] = []
    parts = []
    for part in node.values:
        if isinstance(part, ast.Constant):
            parts.append(str(part.value).replace("%", "%%"))
        elif isinstance(part, ast.FormattedValue):
            names.append(_name(part.value, names))
            parts.append(f"%({names[-1]})s")
    return "".join(parts)


def _name(value: ast.expr, taken: list[str]) -> str:
    while isinstance(value, (ast.Subscript, ast.Call)):
        value = (
            value.args[0]
            if isinstance(value, ast.Call) and value.args
            else (value.func if isinstance(value, ast.Call) else value.value)
        )
    name = value.id if isinstance(value, ast.Name) else value.attr if isinstance(value, ast.Attribute) else "it"
    name = name.strip("_").lower() or "it"
    return name if name not in taken else next(f"{name}{n}" for n in range(2, 99) if f"{name}{n}" not in taken)


def _is_sentence(text: str) -> bool:
    plain = re.sub(r"%\(\w+\)s", "x", text).strip()
    if PROGRAM.search(text) or text.isupper():
        return False
    return bool(TAIL.search(plain)) and len(plain.split()) >= LEAST_WORDS and "\n" not in plain and "<" not in plain[:1]


def _not_said(tree: ast.AST) -> Iterator[int]:
    """Docstrings, what is logged, what describes the API, and the pieces of what is put together."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            yield id(node.value)
        elif isinstance(node, ast.JoinedStr):
            yield from (id(part) for each in ast.walk(node) if each is not node for part in [each])
        elif isinstance(node, ast.keyword) and node.arg in DESCRIBED:
            yield from map(id, ast.walk(node.value))
        elif isinstance(node, ast.Call) and _is_of(node.func, ("log", "logger", "logging", "warnings", "re")):
            yield from (id(each) for part in node.args for each in ast.walk(part))
        elif isinstance(node, ast.Assert) or (isinstance(node, ast.FunctionDef) and node.name == "__repr__"):
            yield from map(id, ast.walk(node))


def _is_of(function: ast.expr, names: tuple[str, ...]) -> bool:
    return isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id in names


def _shown_as_it_goes(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in SAYS:
                yield from (id(part) for part in node.args)
            yield from (id(each.value) for each in node.keywords if each.arg in SAYS)
