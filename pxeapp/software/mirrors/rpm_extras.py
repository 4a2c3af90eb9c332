"""What a yum repository says beside its packages: advisories, modules, groups; of several repositories in one."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as Xml

from pxeapp.errors import Invalid

KINDS = ("updateinfo", "modules", "group")


def merged(kind: str, contents: Sequence[bytes]) -> bytes:
    """One document out of several; raises Invalid for one that cannot be read."""
    if len(contents) == 1:
        return contents[0]
    if kind == "modules":  # a stream of YAML documents
        return b"".join(content if content.endswith(b"\n") else content + b"\n" for content in contents)
    root: Xml.Element | None = None
    for content in contents:
        try:
            found = Xml.fromstring(content)  # noqa: S314 - entities were refused where it was read
        except Xml.ParseError as error:
            raise Invalid(f"{kind} cannot be read: {error}.", hint="Fetch it again; it is damaged.") from error
        if root is None:
            root = found
        else:
            root.extend(list(found))
    return Xml.tostring(root, encoding="utf-8", xml_declaration=True) if root is not None else b""
