"""Texts that a site puts on a machine, byte for byte: files, and scripts before and after the installation.

A text stands in the answer file as it is, where nothing in it can mean anything there; else encoded.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, StrictBool, StrictStr, model_validator

from pxeapp.answers.site.words import AbsolutePath, Name, Part, Unfit, matching

LIMIT = 256 * 1024  # bytes of one text; an answer file is read into an installer's memory, and kept by hash
ELSEWHERE = ("/proc", "/sys", "/dev", "/run")  # not on a disk, or made anew at each boot
END = "END_OF_CONTENT"


def _lines(value: Any) -> Any:
    """A list of lines is a text whose every line ends."""
    if isinstance(value, (list, tuple)) and all(isinstance(line, str) for line in value):
        if any("\n" in line for line in value):
            raise Unfit("has a line with a line break.", "Make it two lines.")
        return "".join(f"{line}\n" for line in value)
    return value


def _text(value: str) -> str:
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise Unfit("holds a character that is not text.", "Give bytes as base64.")
    return value


def _base64(value: str) -> str:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Unfit("is not base64.", "Make it with: base64 -w0 FILE") from None
    return value


def _on_disk(value: str) -> str:
    if any(part in (".", "..") for part in value.split("/")):
        raise Unfit(f"{value[:60]!r} leads elsewhere.", "Leave out . and ..")
    if any(value == folder or value.startswith(f"{folder}/") for folder in ELSEWHERE):
        raise Unfit(f"{value[:60]!r} is not on a disk.", f"Name a file outside of {', '.join(ELSEWHERE)}.")
    return value


class Content(Part):
    """A text, in one of three ways: `content` (a text or a list of lines), `base64`, or a `template` of the site's."""

    content: Annotated[StrictStr, BeforeValidator(_lines), AfterValidator(_text)] | None = None
    base64: Annotated[StrictStr, AfterValidator(_base64)] | None = None
    template: (
        Annotated[
            StrictStr,
            matching(
                r"(kickstarts|preseeds|boot)(/(?!\.)[A-Za-z0-9._-]{1,100}){1,8}",
                "Name a template of the site's as boot/NAME.",
            ),
        ]
        | None
    ) = None

    @model_validator(mode="after")
    def _one_of_three(self) -> Content:
        said = [name for name in ("content", "base64", "template") if getattr(self, name) is not None]
        if len(said) != 1:
            what = f"has {' and '.join(said)}." if said else "has no content."
            raise Unfit(what, "Give one of content, base64 and template.")
        if self.template is not None and getattr(self, "secret", False):
            raise Unfit("is secret and comes from a template.", "Templates are no place for secrets; give its content.")
        if len(self.encode()) > LIMIT:
            raise Unfit(f"is larger than {LIMIT // 1024} KiB.", "Serve it over HTTP and fetch it by a script.")
        return self

    def encode(self) -> bytes:
        """Its bytes; none yet where they come from a template."""
        if self.base64 is not None:
            return base64.b64decode(self.base64)
        return (self.content or "").encode()

    @property
    def plain(self) -> bool:
        """Whether it can stand in a here-document: lines of printable ASCII, none of which ends it or a section."""
        text = self.encode().decode("latin-1")
        return text.endswith("\n") and all(
            (line.replace("\t", " ").isprintable() and line.isascii() and not line.lstrip().startswith(("%", "END_OF")))
            for line in text[:-1].split("\n")
        )

    @property
    def decode(self) -> str:
        """The program that writes the body's bytes."""
        return "cat" if self.plain else "base64 -d"

    @property
    def body(self) -> str:
        """What stands in the here-document, with its last line's end."""
        return self.encode().decode() if self.plain else base64.encodebytes(self.encode()).decode()

    @property
    def octal(self) -> list[str]:
        """The bytes as words for printf: an installer has no base64."""
        data = self.encode()
        return ["".join(f"\\{byte:03o}" for byte in data[at : at + 24]) for at in range(0, len(data), 24)]

    @property
    def shown(self) -> tuple[str, ...]:
        """How it stands in an answer file: what to mask where it is a secret."""
        return (self.body.rstrip("\n"), *self.octal) if self.encode() else ()


class File(Content):
    """A file of the installed system."""

    path: Annotated[AbsolutePath, AfterValidator(_on_disk)]
    mode: Annotated[StrictStr, matching(r"0?[0-7]{3}|[0-7]{4}", 'Write it in quotes: "0644".')] = "0644"
    owner: Annotated[
        StrictStr,
        matching(r"[a-z_][a-z0-9_-]{0,30}(:[a-z_][a-z0-9_-]{0,30})?", "Write a user, or user:group."),
    ] = "root:root"
    secret: StrictBool = False


class Script(Content):
    """A script of the site's; the first line may name its interpreter. They run in the order they stand in."""

    name: Name
    on_failure: Literal["stop", "continue"] = "stop"
    secret: StrictBool = False
