"""Indices signed by this appliance's own key, for trees that it did not make, or makes again at a later moment.

A channel that is rolled back serves an older index than clients have; apt and dnf take that for an attack and stay with
what they have. So whatever a channel serves says the moment at which it came there. A snapshot out of a bundle was
signed by another appliance, whose key no machine here knows. Nothing but dates and signatures is touched: indices,
packages and their hashes are those of the snapshot.
"""

from __future__ import annotations

import datetime as dt
import re

from pxeapp.software.content.manifest import Entry, Manifest
from pxeapp.software.content.store import Store
from pxeapp.software.repositories.signing import Signer

_RELEASE = re.compile(r"(?P<folder>dists/(?:[^/]+/)*)Release")
_DATE = re.compile(rb"^(Date|Valid-Until):[^\n]*\n", re.MULTILINE)
_REPOMD = "repodata/repomd.xml"
_REVISION = re.compile(rb"(<revision>)[^<]*(</revision>)")
_STAMP = re.compile(rb"(<timestamp>)[0-9.]+(</timestamp>)")


def resigned(store: Store, manifest: Manifest, signer: Signer, *, dated: dt.datetime | None = None) -> Manifest:
    """The same tree signed by us; with `dated`, its indices say that they are of that moment."""
    changed: dict[str, bytes] = {}
    for entry in manifest:
        if (folder := _signed_release(manifest, entry.path)) is not None:
            text = store.read(entry.sha256)
            text = _dated_release(text, dated) if dated is not None else text
            changed |= {
                entry.path: text,
                f"{entry.path}.gpg": signer.sign_detached(text),
                f"{folder}InRelease": signer.sign_clear(text),
            }
        elif entry.path == _REPOMD:
            text = store.read(entry.sha256)
            text = _dated_repomd(text, dated) if dated is not None else text
            changed |= {entry.path: text, f"{entry.path}.asc": signer.sign_detached(text)}
    blobs = {path: store.add_bytes(content) for path, content in changed.items()}
    return Manifest(
        [
            *(entry for entry in manifest if entry.path not in blobs),
            *(Entry(path, blob.sha256, blob.size) for path, blob in blobs.items()),
        ]
    )


def is_signed(manifest: Manifest) -> bool:
    """Whether there is an index that a key could be asked for."""
    return any(entry.path == _REPOMD or _signed_release(manifest, entry.path) is not None for entry in manifest)


def _signed_release(manifest: Manifest, path: str) -> str | None:
    """The folder of a Release that is signed: that of a component, as old archives have them, is by nobody."""
    found = _RELEASE.fullmatch(path)
    if found is None or (manifest.get(f"{found['folder']}InRelease") or manifest.get(f"{path}.gpg")) is None:
        return None
    return found["folder"]


def _dated_release(text: bytes, moment: dt.datetime) -> bytes:
    date = f"Date: {moment.astimezone(dt.UTC):%a, %d %b %Y %H:%M:%S} UTC\n".encode()
    bare = _DATE.sub(b"", text)
    return date + bare


def _dated_repomd(text: bytes, moment: dt.datetime) -> bytes:
    stamp = str(int(moment.timestamp())).encode()
    return _STAMP.sub(rb"\g<1>" + stamp + rb"\g<2>", _REVISION.sub(rb"\g<1>" + stamp + rb"\g<2>", text))
