"""What the resolver script (boot/_disks.sh) is asked, and what the script for spare disks is told. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from functools import lru_cache

from pxeapp.answers.storage.hints import Hint
from pxeapp.answers.storage.layout import Layout
from pxeapp.answers.storage.sizes import MIB, SECTOR


@lru_cache(maxsize=4096)
def calls(layout: Layout, system: str | None, data: tuple[str, ...], keep: tuple[str, ...]) -> tuple[str, ...]:
    """The lines of find_disks. What is to be kept comes first: no later hint can mean it, whatever it says."""
    return tuple(_calls(layout, system, (*data, *keep)))


def _calls(layout: Layout, system: str | None, kept: tuple[str, ...]) -> Iterable[str]:
    for hint in (*(Hint(path=path) for path in kept), *layout.untouched):
        yield f"keep {_words(hint)}"
    hints = layout.system or ((Hint(path=system),) if system else ())
    if not hints:
        yield "first_disk || return 1"
        yield "system_disks=$chosen"
    for number, hint in enumerate(hints):
        yield _choose(f"layout.system.{number}" if layout.system else "disks.system", hint)
        yield 'system_disks="$system_disks$chosen"'
    if layout.needed_mib:
        yield f"roomy {layout.needed_mib * MIB // SECTOR} $system_disks || return 1"
    for number, group in enumerate(layout.groups, 1):
        where = f"layout.groups.{group.name}"
        yield f"group_{number}="
        for place, hint in enumerate(group.disks):
            yield _choose(f"{where}.disks.{place}", hint)
            yield f'group_{number}="$group_{number}$chosen"'
        if not group.wipe:
            yield f"unused {shlex.quote(where)} {shlex.quote(f'LVM {group.name}')} $group_{number} || return 1"
    for number, raw in enumerate(layout.raw, 1):
        if raw.filesystem:
            where = f"layout.raw.{number - 1}"
            yield _choose(where, raw.hint)
            yield f"raw_{number}=$chosen"
            if not raw.wipe:
                yield f"unused {where} {raw.filesystem} $raw_{number} || return 1"


@lru_cache(maxsize=4096)
def spare(layout: Layout) -> tuple[str, ...]:
    """What is done to the disks beside the system's, once it is installed; nothing where nothing is said."""
    lines = [
        f"spare_group {shlex.quote(group.name)} {_order(wipe=group.wipe)} $group_{number}"
        for number, group in enumerate(layout.groups, 1)
    ]
    lines += [
        f"spare_filesystem {raw.filesystem} {_order(wipe=raw.wipe)} {shlex.quote(raw.mount)} $raw_{number}"
        for number, raw in enumerate(layout.raw, 1)
        if raw.filesystem
    ]
    return tuple(lines)


def names(layout: Layout) -> tuple[str, ...]:
    """The shell variables that find_disks sets: what the later script must know of the earlier one."""
    groups = (f"group_{number}" for number, _ in enumerate(layout.groups, 1))
    raws = (f"raw_{number}" for number, raw in enumerate(layout.raw, 1) if raw.filesystem)
    return ("system_disks", *groups, *raws)


def _order(*, wipe: bool) -> str:
    return "wipe" if wipe else "keep"


def _choose(where: str, hint: Hint) -> str:
    return f"choose {shlex.quote(where)} {hint.count} {shlex.quote(str(hint))} {_words(hint)} || return 1"


def _words(hint: Hint) -> str:
    """The eight words of a hint. A size is rounded so that no disk is left out for a part of a sector."""
    least = "" if hint.least is None else str(hint.least // SECTOR)
    most = "" if hint.most is None else str(-(-hint.most // SECTOR))
    rotational = "" if hint.rotational is None else str(int(hint.rotational))
    words = (hint.path, hint.serial, hint.wwn, hint.model, least, most, rotational, hint.extreme)
    return " ".join(shlex.quote(word) for word in words)
