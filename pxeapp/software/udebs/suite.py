"""A small udeb suite on disk: pool, Packages.gz and Release, as the installer's net-retriever wants them."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

POOL = "pool/pxeapp-udebs"
ARCHITECTURE = "amd64"


@dataclass(frozen=True, slots=True)
class Member:
    """One udeb of the suite and its control fields."""

    path: Path
    fields: Mapping[str, str]


def write(root: Path, suite: str, members: Iterable[Member], *, now: dt.datetime) -> Path:
    """Write the suite below `root` (a mirror's root) and return its `dists` folder.

    The pool is filled first, then the index, then Release, each by a rename, so that an installer that reads
    meanwhile sees the old suite or the new one.
    """
    pool = root / POOL / suite
    pool.mkdir(parents=True, exist_ok=True)
    stanzas = []
    for member in sorted(members, key=lambda member: member.fields["Package"]):
        target = pool / member.path.name
        _place(member.path, target)
        stanzas.append(_stanza(member.fields, f"{POOL}/{suite}/{target.name}", target))
    text = "\n".join(stanzas).encode()
    index = f"main/debian-installer/binary-{ARCHITECTURE}/Packages"
    files = {index: text, f"{index}.gz": gzip.compress(text, mtime=0)}
    dists = root / "dists" / suite
    for name, content in files.items():
        (dists / name).parent.mkdir(parents=True, exist_ok=True)
        _write(dists / name, content)
    _write(dists / "Release", _release(suite, files, now).encode())
    return dists


def _stanza(fields: Mapping[str, str], filename: str, path: Path) -> str:
    content = path.read_bytes()
    ours = {"Filename": filename, "Size": str(len(content)), "SHA256": hashlib.sha256(content).hexdigest()}
    kept = {
        key: value
        for key, value in fields.items()
        if key not in (*ours, "MD5sum", "SHA1", "Description-md5", "Tag") and "\n" not in value
    }
    return "".join(f"{key}: {value}\n" for key, value in {**kept, **ours}.items())


def _release(suite: str, files: Mapping[str, bytes], now: dt.datetime) -> str:
    sums = "".join(f" {hashlib.sha256(content).hexdigest()} {len(content)} {name}\n" for name, content in files.items())
    return (
        f"Origin: pxeapp\nLabel: installer components\nSuite: {suite}\nCodename: {suite}\n"
        f"Date: {now:%a, %d %b %Y %H:%M:%S} UTC\nArchitectures: {ARCHITECTURE}\nComponents: main\nSHA256:\n{sums}"
    )


def _place(source: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.part")
    shutil.copyfile(source, partial)
    partial.chmod(0o644)
    partial.replace(target)


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(content)
    partial.replace(path)
