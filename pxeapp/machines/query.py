"""The language in which lists of machines are narrowed: pages, API and command line read the same words.

    state=failed role=compute,storage rack=r1* -cluster=lab label.row=b web 10.0.9

Every word has to hold. `key=value` takes several values (one of them has to hold), `*` for anything, nothing at all
(`cluster=`: it has none), quotes around what holds a space; a minus before it, or `!=`, turns it round. What is no
`key=value` is looked for in names, serial numbers, MACs and addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pxeapp.errors import FieldProblem, Invalid
from pxeapp.machines.lifecycle import FAILED, TRANSITIONAL, State

LONGEST = 500  # characters of a query
MOST_WORDS = 20
MOST_VALUES = 50
LABEL_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}")
# What may stand before "=", and what it means; the order is the documentation's.
KEYS: dict[str, str] = {
    "state": "the state; failed and busy stand for all states of that kind",
    "role": "the role",
    "release": "the release",
    "cluster": "the cluster",
    "project": "the project",
    "rack": "the rack of its location",
    "site": "the site of its location",
    "room": "the room of its location",
    "unit": "the unit of its location",
    "network": "a network that one of its cards is in",
    "address": "the address of a card or of the BMC",
    "power": "on, off or unknown",
    "name": "the name",
    "mac": "the boot MAC or the MAC of another card, in any spelling",
    "serial": "the serial number",
    "uuid": "the UUID",
    "fault": "the sentence that explains a failure",
    "maintenance": "yes or no",
    "locked": "yes or no",
}
BOOLEANS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
KINDS: dict[str, frozenset[State]] = {"failed": FAILED, "busy": TRANSITIONAL}
_STATES = {state.value.replace(" ", "-"): state.value for state in State}
_WORD = re.compile(r'(?P<minus>-?)(?P<head>[A-Za-z][A-Za-z0-9._/-]*)(?P<sign>!=|=|:)(?P<rest>(?:"[^"]*"|[^\s"])*)')
_VALUE = re.compile(r'"([^"]*)"|([^,"]+)')
_TEXT = re.compile(r'(?P<minus>-?)(?:"(?P<quoted>[^"]*)"|(?P<plain>[^\s"]+))')


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a query. `key` is empty where it is looked for everywhere; `label` is a label's name."""

    key: str
    values: tuple[str, ...]
    negated: bool = False
    label: str = ""

    def __str__(self) -> str:
        """As it is written."""
        minus = "-" if self.negated else ""
        if not self.key:
            return minus + _quoted(self.values[0], free=True)
        head = f"label.{self.label}" if self.key == "label" else self.key
        return f"{minus}{head}={','.join(map(_quoted, self.values))}"


def parse(text: str, *, field: str = "q") -> tuple[Term, ...]:
    """The words of a query; raises Invalid that names the word which cannot be understood."""
    if "\0" in text:
        raise _wrong(field, "It holds a NUL character.", "Take it out.")
    if len(text) > LONGEST:
        raise _wrong(field, f"It has {len(text)} characters.", f"At most {LONGEST} are possible.")
    found = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        match = _WORD.match(text, position)
        term = _keyed(match, field) if match else None
        if match is None or term is None:
            match = _TEXT.match(text, position)
            term = _free(match) if match else None
            if match is None:
                raise _wrong(field, f"{text[position : position + 40]!r} has no end.", "Close the quotes.")
        if term is not None:
            found.append(term)
        position = match.end()
    if len(found) > MOST_WORDS:
        raise _wrong(field, f"It has {len(found)} words.", f"At most {MOST_WORDS} are possible.")
    return tuple(found)


def written(terms: tuple[Term, ...]) -> str:
    """A query in its one spelling: what is saved, shown and compared."""
    return " ".join(map(str, terms))


def term(key: str, value: str) -> Term:
    """`key=value` for a value as it is, whatever stands in it; `label` takes NAME=VALUE."""
    if key == "label":
        name, _, value = value.partition("=")
        return Term("label", (value,), label=name)
    return Term(key, (value,))


def _free(match: re.Match[str]) -> Term | None:
    said = match["quoted"] if match["quoted"] is not None else match["plain"]
    minus = bool(match["minus"]) and bool(said)
    return Term("", (said,), minus) if said.strip() else None


def _keyed(match: re.Match[str], field: str) -> Term | None:
    """None: it is no key=value after all, but a text with a colon in it, as a MAC is."""
    head, sign = match["head"], match["sign"]
    label = ""
    if head.lower().startswith("label.") or head.lower() == "label":
        label, rest = head[len("label.") :], match["rest"]
        if not label:  # label=rack=r2, as the API's own parameter is written
            label, _, rest = rest.strip('"').partition("=")
        if not LABEL_KEY.fullmatch(label):
            raise _wrong(field, f"{label[:60]!r} is not a label's name.", "Write label.NAME=VALUE.")
        key = "label"
    elif head.lower() in KEYS:
        key, rest = head.lower(), match["rest"]
    elif sign == ":":
        return None
    else:
        raise _wrong(field, f"{head[:60]} is not known.", f"Use one of {', '.join(KEYS)} or label.NAME.")
    values = tuple(each[0] or each[1].strip() for each in _VALUE.findall(rest)) or ("",)
    if len(values) > MOST_VALUES:
        raise _wrong(field, f"{head[:60]} has {len(values)} values.", f"At most {MOST_VALUES} are possible.")
    return Term(key, _understood(key, values, field), bool(match["minus"]) != (sign == "!="), label)


def _understood(key: str, values: tuple[str, ...], field: str) -> tuple[str, ...]:
    if key == "state":
        return tuple(_state(value, field) for value in values)
    if key in ("maintenance", "locked"):
        for value in values:
            if value.lower() not in BOOLEANS:
                raise _wrong(field, f"{key} cannot be {value[:40]!r}.", "Write yes or no.")
        return tuple("yes" if BOOLEANS[value.lower()] else "no" for value in values)
    if key == "power" and (other := [value for value in values if value not in ("on", "off", "unknown")]):
        raise _wrong(field, f"power cannot be {other[0][:40]!r}.", "Write on, off or unknown.")
    return values


def _state(value: str, field: str) -> str:
    plain = value.lower().replace(" ", "-").replace("_", "-")
    if plain in KINDS:
        return plain
    if plain in _STATES:
        return _STATES[plain]
    known = ", ".join([*KINDS, *_STATES])
    raise _wrong(field, f"{value[:40]!r} is not a state.", f"Known: {known}.")


def _quoted(value: str, *, free: bool = False) -> str:
    plain = re.fullmatch(r'[^\s",]+', value)
    if free and plain and (value.startswith("-") or _WORD.fullmatch(value)):
        plain = None
    clean = value.replace('"', "")
    return value if plain or (not value and not free) else f'"{clean}"'


def _wrong(field: str, problem: str, fix: str) -> Invalid:
    return Invalid("The filter cannot be understood.", problems=[FieldProblem(field, problem, fix)], hint=fix)
