"""Where secrets stand within a site's settings: a user's hash, the text of a secret file, a proxy's password.

What comes in may be anything: it is looked at before it is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pxeapp.machines import sealed

# Of the right kind, for checks that need a value and must not open the one that is kept.
HASH = f"$6$standsin${'x' * 86}"
TEXTS = {"content": "stands in\n", "base64": "c3RhbmRzIGlu"}
URL = "http://stands:inforit@proxy.invalid:3128"


@dataclass(frozen=True, slots=True)
class SecretPart:
    """One secret within a value."""

    place: tuple[str | int, ...]  # the keys that lead to it; none: it is the value itself
    value: Any
    whose: tuple[Any, ...]  # what must be the same for a masked one to mean the one that is kept
    stand_in: str
    shown: str = sealed.SHOWN

    @property
    def masked(self) -> bool:
        """Whether it is what the API shows, sent back."""
        return bool(self.value == self.shown)


Find = Callable[[Any], Iterator[SecretPart]]


def of_users(said: Any) -> Iterator[SecretPart]:
    """Their hashes. A hash stays its user's: of another name, it is another user's."""
    for number, user in _records(said):
        if (value := user.get("password_hash")) is not None:
            yield SecretPart((number, "password_hash"), value, (repr(user.get("name")),), HASH)


def of_texts(key: str) -> Find:
    """The texts of files or scripts that are secret, known by `key`. One that is secret no more is said anew."""

    def find(said: Any) -> Iterator[SecretPart]:
        for number, each in _records(said):
            secret = each.get("secret") is True
            for name, stand_in in TEXTS.items():
                value = each.get(name)
                if value is not None and (secret or value == sealed.SHOWN or sealed.is_sealed(value)):
                    yield SecretPart((number, name), value, (repr(each.get(key)), name, secret), stand_in)

    return find


def of_proxy(said: Any) -> Iterator[SecretPart]:
    """Its URL, if a password stands in it. It is kept for that host only, or whoever changes the host has it."""
    place: tuple[str, ...] = ()
    value = said
    if isinstance(said, Mapping) and not sealed.is_sealed(said):
        place, value = ("url",), said.get("url")
    if isinstance(value, Mapping) and sealed.is_sealed(value):
        shown = str(value.get("shown"))
    elif isinstance(value, str) and "@" in value:
        before, _, host = value.rpartition("@")
        shown = f"{before.partition('//')[0]}//{sealed.SHOWN}@{host}"
    else:
        return
    yield SecretPart(place, value, (shown,), URL, shown)


def _records(said: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, each in enumerate(said if isinstance(said, (list, tuple)) else ()):
        if isinstance(each, Mapping):
            yield number, each


# By the setting's name.
FINDERS: dict[str, Find] = {
    "users": of_users,
    "proxy": of_proxy,
    "files": of_texts("path"),
    "pre_scripts": of_texts("name"),
    "post_scripts": of_texts("name"),
}
