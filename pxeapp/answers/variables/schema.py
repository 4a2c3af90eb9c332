"""What a variable is: its type, its default, its limits, whether it is secret, where it may be said, and help."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pxeapp.errors import FieldProblem

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
TEXTS: dict[str, tuple[re.Pattern[str], str]] = {
    "text": (re.compile(r".{0,4096}"), "Write one line of text."),
    "word": (re.compile(r"[A-Za-z0-9._-]{1,255}"), "Use letters, digits, dots, dashes and underscores."),
    "address": (re.compile(r"[0-9A-Fa-f:.]{2,45}"), "Write an address such as 10.0.0.7 or 2001:db8::7."),
    "host": (
        re.compile(r"[0-9A-Fa-f:]{2,45}|(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,62})?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62})?)*"),
        "Write a host name or an address.",
    ),
    # Inert wherever a role puts it: URLs, ini files, YAML, shells, SQL.
    "password": (re.compile(r"[A-Za-z0-9._~-]{8,128}"), "Use 8 to 128 of A-Z, a-z, 0-9, and . _ ~ -"),
}  # fmt: skip
TYPES = (*TEXTS, "choice", "integer", "boolean", "list", "object", "any")
SCOPES = ("cluster", "role", "machine")
# How a missing secret of a cluster is made, see secrets.py; the default for what is secret.
GENERATORS = ("password", "fernet", "hex", "uuid", "no")
Problem = tuple[str, str]  # what is wrong, what to write instead
MOST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable. `scope` is the narrowest place where it may be said: cluster, then role, then machine."""

    name: str
    type: str = "text"
    help: str = ""
    default: Any = None  # None: it has no value when nobody says it
    choices: tuple[str, ...] = ()
    items: str = "word"  # of a list
    minimum: int | None = None
    maximum: int | None = None
    pattern: str = ""  # what a text, or each one of a list, must match as a whole
    fix: str = ""  # what to write instead of what does not match
    lower: bool = False  # capitals mean nothing in it, and installers want none
    required: bool = False
    required_if: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    secret: bool = False
    generate: str = "no"
    keep: bool = False  # rotated only by its name: what is stored already depends on it
    scope: str = "machine"
    check: Callable[[Any], Iterable[Problem]] | None = None  # a capability's own look at the value
    parts: Callable[[Any], Iterable[Any]] | None = None  # the secrets within a value, as SecretPart; see parts.py

    @property
    def empty(self) -> Any:
        """What stands in a template where it has no value."""
        return {"list": [], "object": {}, "boolean": False}.get(self.type, "")

    def needed(self, said: Mapping[str, Any]) -> bool:
        """Whether a role does not work without it, where these variables are said."""
        return self.required or any(said.get(name) == value for name, value in self.required_if.items())

    def problems(self, value: Any) -> list[Problem]:
        """What is wrong with a value, each with what to write instead; a secret is never repeated."""
        found = list(_problems(self, self.type, value))
        if not found and self.check is not None:
            found = list(self.check(value))
        return found

    def normalised(self, value: Any) -> Any:
        """The value in its one spelling: a CSV file, for one, has texts only."""
        if isinstance(value, str) and self.type == "integer" and re.fullmatch(r"-?[0-9]{1,18}", value):
            return int(value)
        if isinstance(value, str) and self.type == "boolean" and value.lower() in ("true", "false"):
            return value.lower() == "true"
        return lowered(value) if self.lower else value

    def wire(self) -> dict[str, Any]:
        """As the API shows it: only what is said of it."""
        shown: dict[str, Any] = {"name": self.name, "type": self.type, "help": self.help, "default": self.default}
        for name in ("choices", "minimum", "maximum", "pattern", "required", "required_if", "secret", "keep"):
            value = getattr(self, name)
            if value not in (None, "", (), False) and value != {}:
                shown[name] = (
                    list(value) if isinstance(value, tuple) else dict(value) if name == "required_if" else value
                )
        if self.type == "list":
            shown["items"] = self.items
        if self.secret:
            shown["generate"] = self.generate
        return {**shown, "scope": self.scope}


def lowered(value: Any) -> Any:
    """A text without capitals, or each one of a list."""
    if isinstance(value, str):
        return value.lower()
    return [lowered(each) for each in value] if isinstance(value, (list, tuple)) else value


def _problems(variable: Variable, kind: str, value: Any) -> Iterable[Problem]:
    if kind in TEXTS:
        yield from _text(variable, kind, value)
    elif kind == "choice" and (not isinstance(value, str) or value not in variable.choices):
        yield f"{_shown(variable, value)} is not possible.", f"Use {', '.join(variable.choices)}."
    elif kind == "integer":
        yield from _integer(variable, value)
    elif kind == "boolean" and not isinstance(value, bool):
        yield f"{_shown(variable, value)} is neither true nor false.", "Write true or false."
    elif kind == "object" and not isinstance(value, Mapping):
        yield "must be an object.", 'Write {"...": ...}.'
    elif kind == "list":
        yield from _list(variable, value)


def _text(variable: Variable, kind: str, value: Any) -> Iterable[Problem]:
    pattern, fix = TEXTS[kind]
    if variable.pattern:
        pattern, fix = re.compile(variable.pattern), f"It must match {variable.pattern}"
    if not isinstance(value, str):
        yield "must be a text.", f'Write "...". {variable.fix or fix}'
    elif not value.isprintable():
        yield "holds a line break or a control character.", "Take it out."
    elif not pattern.fullmatch(value) or not _is_what_it_says(kind, value):
        yield f"{_shown(variable, value)} is not possible.", variable.fix or fix


def _list(variable: Variable, value: Any) -> Iterable[Problem]:
    if not isinstance(value, (list, tuple)):
        yield "must be a list.", 'Write ["...", "..."].'
        return
    for number, each in enumerate(value):
        for problem, fix in _problems(variable, variable.items, each):
            yield f"entry {number}: {problem}", fix


def _shown(variable: Variable, value: Any) -> str:
    return "The value" if variable.secret else repr(value)[:MOST_SHOWN]


def _integer(variable: Variable, value: Any) -> Iterable[Problem]:
    low, high = variable.minimum, variable.maximum
    if isinstance(value, bool) or not isinstance(value, int):
        yield "must be a whole number.", "Write only digits."
    elif (low is not None and value < low) or (high is not None and value > high):
        limits = [f"at least {low}" if low is not None else "", f"at most {high}" if high is not None else ""]
        yield f"{value} is out of range.", f"Use {' and '.join(filter(None, limits))}."


def _is_what_it_says(kind: str, value: str) -> bool:
    if kind != "address" and not (kind == "host" and ":" in value):
        return True
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


READABLE = (
    "would be read by everybody who sees the role, and it is a secret.",
    "Leave it out: it is generated for each cluster, or said there, and encrypted.",
)
KEYS = frozenset(
    {
        "type", "help", "default", "choices", "items", "minimum", "maximum", "pattern", "required", "required_if",
        "secret", "generate", "keep", "scope",
    }
)  # fmt: skip


def declared(said: Any, where: str = "variables") -> tuple[dict[str, Variable], list[FieldProblem]]:
    """Variables from data: `{name: {type, default, ...}}`, as a role has them; and what is wrong with it."""
    if not isinstance(said, Mapping):
        return {}, [FieldProblem(where, "is not an object.", 'Write {"name": {"type": "text"}}.')]
    found: dict[str, Variable] = {}
    problems: list[FieldProblem] = []
    for name, fields in said.items():
        place = f"{where}.{str(name)[:63]}"
        if not isinstance(name, str) or not NAME.fullmatch(name):
            problems.append(FieldProblem(place, "is not a variable's name.", "Use a-z, 0-9 and _, a letter first."))
        elif not isinstance(fields, Mapping):
            problems.append(FieldProblem(place, "is not an object.", 'Write {"type": "text", "help": "..."}.'))
        else:
            wrong = [FieldProblem(f"{place}.{part}", problem, fix) for part, problem, fix in _wrong(fields)]
            problems += wrong
            if not wrong:
                variable = _made(name, fields)
                found[name] = variable
                default = [] if variable.default is None else variable.problems(variable.default)
                problems += [FieldProblem(f"{place}.default", problem, fix) for problem, fix in default]
                if variable.secret and variable.default is not None:
                    problems.append(FieldProblem(f"{place}.default", *READABLE))
    return found, problems


def _made(name: str, fields: Mapping[str, Any]) -> Variable:
    plain = {key: value for key, value in fields.items() if value is not None}
    for key in ("choices",):
        if key in plain:
            plain[key] = tuple(plain[key])
    if plain.get("secret"):
        plain.setdefault("type", "password")
        plain.setdefault("generate", "password" if plain["type"] == "password" else "no")
    return Variable(name, **plain)


def _wrong(fields: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    for key in fields:
        if key not in KEYS:
            yield str(key)[:63], "is not known.", f"Use {', '.join(sorted(KEYS))}."
    for key, possible in (("type", TYPES), ("items", TYPES), ("scope", SCOPES), ("generate", GENERATORS)):
        value = fields.get(key)
        if value is not None and value not in possible:
            yield key, f"{value!r} is not possible."[:120], f"Use {', '.join(possible)}."
    for key, right, (problem, fix) in RIGHT_KIND:
        if fields.get(key) is not None and not right(fields[key]):
            yield key, problem, fix
    if fields.get("type") == "choice" and not fields.get("choices"):
        yield "choices", "are missing.", "List what can be chosen."
    if (pattern := fields.get("pattern")) is not None:
        yield from _wrong_pattern(pattern)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and len(value) <= 500


def _are_texts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)


_BOOLEAN = ("must be true or false.", "Write true or false.")
_NUMBER = ("must be a whole number.", "Write only digits.")
RIGHT_KIND: tuple[tuple[str, Callable[[Any], bool], Problem], ...] = (
    ("required", lambda value: isinstance(value, bool), _BOOLEAN),
    ("secret", lambda value: isinstance(value, bool), _BOOLEAN),
    ("keep", lambda value: isinstance(value, bool), _BOOLEAN),
    ("minimum", _is_number, _NUMBER),
    ("maximum", _is_number, _NUMBER),
    ("help", _is_line, ("must be one line of text.", "Write one sentence.")),
    ("required_if", lambda value: isinstance(value, Mapping), ("must be an object.", 'Write {"other": value}.')),
    ("choices", _are_texts, ("must be a list of texts.", 'Write ["...", "..."].')),
)


def _wrong_pattern(pattern: Any) -> Iterable[tuple[str, str, str]]:
    """A pattern of nested repetitions can take for ever; nobody needs one for a setting."""
    try:
        re.compile(pattern)
    except (re.error, TypeError, RecursionError, OverflowError):
        yield "pattern", "is not a regular expression.", "Write one of Python's re."
        return
    if len(pattern) > 200 or re.search(r"[*+}]\)?[*+{]|\)[*+{]|\\[1-9]", pattern):
        yield "pattern", "is longer than 200 characters or repeats a group.", "Write it without ( )*, ( )+ and \\1."
