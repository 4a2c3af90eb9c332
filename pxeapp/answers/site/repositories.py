"""A site's own package repositories: with their key, their priority, and for the installer, the system, or both."""

from __future__ import annotations

import base64
import binascii
import re
from functools import cached_property
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, StrictBool, StrictInt, StrictStr, model_validator

from pxeapp.answers.own_keys import is_own_key
from pxeapp.answers.site.words import Name, Part, Unfit, Url, Words, matching
from pxeapp.armour import BEGIN, END, block, crc24, is_public

KEY_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~+:@%=&?/-]*)?")
FIX = f"Paste all of it as lines, from {BEGIN} on, or give its URL."


def _one_text(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and all(isinstance(line, str) for line in value):
        return "".join(f"{line}\n" for line in value)
    return value


def _dearmored(text: str) -> bytes:
    """The key itself: apt before 1.4 reads no armour, and rpm and apt read keys in different wrappings."""
    lines = [line.strip() for line in text.strip().splitlines()]
    if lines[:1] != [BEGIN] or lines[-1:] != [END]:
        raise Unfit("is no armoured OpenPGP public key.", FIX)
    body = lines[1:-1]
    if "" in body:
        body = body[body.index("") + 1 :]
    checksum = body.pop()[1:] if body and body[-1].startswith("=") else ""
    try:
        key = base64.b64decode("".join(body), validate=True)
        expected = base64.b64decode(checksum, validate=True)
    except (binascii.Error, ValueError):
        raise Unfit("is damaged: not base64.", FIX) from None
    if not is_public(key):
        raise Unfit("is no public key.", "Export it with: gpg --armor --export NAME")
    if expected and crc24(key).to_bytes(3, "big") != expected:
        raise Unfit("is damaged: its checksum is another.", FIX)
    return key


def _priority(value: int) -> int:
    if not -1 <= value <= 2000 or value == 0:
        raise Unfit(f"{value} is no priority.", "dnf: 1 (first) to 99; apt: 100 to 1000 (last one wins), -1 for never.")
    return value


def _key(value: str) -> str:
    if "://" not in value.partition("\n")[0]:
        _dearmored(value)
    return value


_Armoured = Annotated[StrictStr, BeforeValidator(_one_text), AfterValidator(_key)]


class SiteRepository(Part):
    """A repository. An apt repository has a suite and components; an rpm repository neither."""

    name: Name
    url: Url
    suite: Words = ""
    components: Words = ""
    key: _Armoured = ""  # an armoured key, or where it is
    priority: Annotated[StrictInt, AfterValidator(_priority)] | None = None
    pin: Annotated[
        StrictStr,
        matching(
            r'(release( ?[acnovl]=[A-Za-z0-9 ._:+-]{1,64},?){1,6}|origin "[A-Za-z0-9.:_-]{1,255}")?',
            "Write it as: release o=Ceph, n=stable",
        ),
    ] = ""
    cost: StrictInt | None = None
    installer: StrictBool = True
    system: StrictBool = True

    @model_validator(mode="after")
    def _fits_together(self) -> SiteRepository:
        if not self.installer and not self.system:
            raise Unfit("is for nobody.", "Leave it out, or say installer: true or system: true.")
        if self.cost is not None and not 1 <= self.cost <= 1_000_000:
            raise Unfit(f"has a cost of {self.cost}.", "Use 1 to 1000000; 1000 is dnf's own.")
        if self.key_url and not KEY_URL.fullmatch(self.key_url):
            raise Unfit("has a key at an address that is not possible.", "Write http://host/path.")
        if self.pin and self.priority is None:
            raise Unfit("has a pin and no priority.", "Give both, or none.")
        return self

    @property
    def key_url(self) -> str:
        """Where its key is, when it is not here."""
        return self.key if "://" in self.key.partition("\n")[0] else ""

    @property
    def ours(self) -> bool:
        """Whether the appliance itself has signed its index."""
        return is_own_key(self.key_url)

    @property
    def inline_key(self) -> bool:
        """Whether the key itself is known."""
        return bool(self.key) and not self.key_url

    @cached_property
    def binary_key(self) -> str:
        """The key itself, for a here-document."""
        return base64.encodebytes(_dearmored(self.key)).decode() if self.inline_key else ""

    @property
    def armoured(self) -> str:
        """The key as it was given, for a here-document: lines of its own alphabet."""
        return block(_dearmored(self.key)) if self.inline_key else ""

    @property
    def for_preseed(self) -> str:
        """The key on one line, as newer installers of Debian read it."""
        return f"base64://{base64.b64encode(self.armoured.encode()).decode()}"

    @property
    def file(self) -> str:
        """Its name as a file of apt's, which skips those with an ending that it does not know."""
        return self.name.replace(".", "-")

    @property
    def host(self) -> str:
        """Where it is: what apt's pins call origin."""
        return urlsplit(self.url).hostname or ""

    @property
    def line(self) -> str:
        """What stands behind `deb`."""
        return " ".join(filter(None, (self.url, self.suite, self.components)))
