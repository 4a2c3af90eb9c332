"""Whether what somebody pins has every repository that they read; asked where it is saved, and before it is used."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import Session

from pxeapp.errors import Conflict, FieldProblem, Invalid, NotFound
from pxeapp.software.snapshots import pins, uses
from pxeapp.software.snapshots.pins import Pin

NODE_URL = "{node_url}"  # as addresses are saved, before ours is filled in


def refuse(
    session: Session, said: object, urls: Iterable[str], *, field: str, sentence: str, node_url: str = NODE_URL
) -> Pin | None:
    """The pin, once it is known and has what these addresses read; raises Invalid with the field."""
    pin = pins.parse(said, field=field)
    if pin is None:
        return None
    problems = [FieldProblem(field, *each) for each in lacking(session, pin, pins.repositories(urls, node_url))]
    if problems:
        raise Invalid(sentence, problems=problems)
    return pin


def lacking(session: Session, pin: Pin, repositories: Iterable[str]) -> list[tuple[str, str]]:
    """What stands against a pin, each as problem and fix."""
    try:
        found = uses.resolve(session, pin)
    except (NotFound, Conflict) as error:
        return [(error.sentence, error.hint or pins.FIX)]
    has = {each.name for each in found.repositories}
    whom = f"{pin.shown} ({found.name})" if pin.channel else pin.shown
    fix = f"It has: {', '.join(sorted(has))}. Take a snapshot with that one, or pin another."
    return [(f"{whom} lacks the repository {name}.", fix) for name in sorted({*repositories} - has)]


def problems(session: Session, urls: Iterable[str], node_url: str) -> list[FieldProblem]:
    """What is wrong with finished addresses that lead to snapshots or channels, whoever has written them."""
    wanted: dict[Pin, set[str]] = {}
    for pin, name in pins.asked(urls, node_url):
        wanted.setdefault(pin, set()).add(name)
    return [FieldProblem("snapshot", *each) for pin, names in wanted.items() for each in lacking(session, pin, names)]
