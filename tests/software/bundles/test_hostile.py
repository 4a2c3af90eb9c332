"""Bundles that were altered, cut off, or made to do harm are refused whole, and nothing of them is used."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pxeapp.db import now
from pxeapp.errors import Invalid, PxeError
from pxeapp.software import packages
from pxeapp.software.bundles import checking, dividing, importing, index, making, reading, ustar
from pxeapp.software.bundles.models import Bundle
from pxeapp.software.models import Release
from pxeapp.software.repositories import signing
from pxeapp.software.snapshots import service as snapshots
from pxeapp.software.snapshots.models import Snapshot
from pxeapp.vault import open_vault
from tests.software.bundles.conftest import OPS, Appliance, needs_gpg

pytestmark = needs_gpg
MIB = 1024 * 1024


def parts_of(source: Appliance, size: int = 0) -> list[Path]:
    source.publish("large", {"large_1": "x" * (MIB + 5), "small_1": "y" * 1000})
    source.take_snapshot("large")
    source.make("site", snapshots=["large"], part_size=size)
    return source.parts("site")


def refused(there: Appliance, source: Appliance, parts: list[Path]) -> str:
    """Why; nothing of it is there afterwards."""
    task = there.bring(parts, trust=[source.fingerprint])
    for model in (Snapshot, Release, Bundle):
        assert there.rows(model) == []
    assert there.served("snapshots") == {}
    assert task.outcome == "failed"
    assert "on our side" not in task.problem
    return task.problem


def altered(path: Path, change: Callable[[bytearray], Any]) -> None:
    data = bytearray(path.read_bytes())
    change(data)
    path.chmod(0o644)
    path.write_bytes(data)


def test_one_that_was_altered_anywhere_is_refused(source: Appliance, other: Appliance) -> None:
    (part,) = parts_of(source)
    part.chmod(0o644)
    whole = part.read_bytes()

    def flipped(place: int) -> Callable[[bytearray], Any]:
        def change(data: bytearray) -> None:
            data[place] ^= 1

        return change

    with part.open("rb") as opened:
        members = list(ustar.members(opened, what="it"))
    inside = [member.start + member.size // 2 for member in members if member.size]
    headers = [130, members[4].start - 356]  # a size, and what kind of file it is
    for place in (inside[0], inside[1], inside[3], inside[4], inside[-1], *headers):
        part.chmod(0o644)
        part.write_bytes(whole)
        altered(part, flipped(place))
        shutil.rmtree(other.store.root, ignore_errors=True)  # what is in there is right, and is not read again
        refused(other, source, [part])
    for size in (0, 4096, len(whole) // 2, len(whole) - 1):
        part.write_bytes(whole[:size])
        refused(other, source, [part])
    part.write_bytes(whole + bytes(512))
    assert "goes on behind its end" in refused(other, source, [part])
    part.write_bytes(whole)
    assert other.bring([part], trust=[source.fingerprint]).problem == ""


def test_a_part_that_is_missing_doubled_or_of_another_bundle_is_named(source: Appliance, other: Appliance) -> None:
    parts = parts_of(source, MIB)
    assert "site.002-of-00" in refused(other, source, [parts[0], *parts[2:]])
    twin = parts[0].with_name("twin")
    twin.write_bytes(parts[0].read_bytes())
    assert "are the same part" in refused(other, source, [*parts, twin])
    source.make("second", snapshots=["2026-11"])
    assert "belongs to another bundle" in refused(other, source, [*parts, *source.parts("second")])


def test_another_key_beside_a_trusted_one_does_not_make_it_trusted(
    source: Appliance, other: Appliance, tmp_path: Path
) -> None:
    """The attacker's own signature, and in the key ring beside it the public key of somebody who is trusted."""
    (part,) = parts_of(source)
    with source.database.read() as session:
        trusted = signing.in_use(session)[0].public
    signing.add(other.database, open_vault(tmp_path), actor=OPS, now=now(), algorithm="ed25519")
    evil = signing.signer(other.database, open_vault(tmp_path), actor=OPS, now=now())
    rebuilt(part, signature=evil.sign_detached, key=(evil.public + trusted).encode())
    with other.database.write() as session:
        for row in signing.in_use(session):
            row.retired_at = now()  # it was made here only because some database must hold it
    problem = refused(other, source, [part])
    assert evil.fingerprints[0] in problem
    rebuilt(part, signature=lambda _data: b"", key=trusted.encode())
    assert "no signature that could be verified" in refused(other, source, [part])


def rebuilt(
    part: Path,
    *,
    data: Callable[[dict[str, Any]], Any] = lambda said: said,
    signature: Callable[[bytes], bytes] | None = None,
    key: bytes | None = None,
    blobs: Callable[[list[tuple[str, bytes]]], Any] = lambda found: found,
) -> None:
    """The same part with another index, signed anew, or other members."""
    with part.open("rb") as opened:
        found = [(member.name, _read(opened, member)) for member in ustar.members(opened, what="it")]
    head = dict(found[:4])
    rest = found[4:]
    said = json.loads(head[making.INDEX])
    data(said)
    head[making.INDEX] = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    if signature is not None:
        head[making.SIGNATURE] = signature(head[making.INDEX])
    if key is not None:
        head[making.KEY] = key
    blobs(rest)
    out = b"".join(
        ustar.header(name, len(content)) + content + bytes(ustar.padded(len(content)) - len(content))
        for name, content in (*head.items(), *rest)
    )
    part.chmod(0o644)
    part.write_bytes(out + ustar.END)


def _read(opened: Any, member: ustar.Member) -> bytes:
    opened.seek(member.start)
    content: bytes = opened.read(member.size)
    return content


def resigned(source: Appliance) -> Callable[[bytes], bytes]:
    """By the key that is trusted: somebody made it with a program of their own."""
    signer = signing.signer(source.database, open_vault(source.settings.data_dir), actor=OPS, now=now())
    return signer.sign_detached


CHANGES: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda said: said.update(format=2), "is of format 2, and this appliance reads 1"),
    (lambda said: said.update(surprise=1), "surprise"),
    (lambda said: said["snapshots"][0].update(name="../../etc"), "has an index that is not right"),
    (lambda said: said["snapshots"][0]["repositories"][0].update(name="../keys"), "has an index that is not right"),
    (lambda said: said["snapshots"][0].update(digest="0" * 64), "does not have the digest that it says"),
    (lambda said: said["blobs"].update({"0" * 64: 5}), "not every blob is in the parts"),
    (lambda said: said["parts"][0].append(said["parts"][0][0]), "has no place"),
    (lambda said: said["parts"][0].reverse(), "It was altered or cut off"),
    (lambda said: said["blobs"].update({next(iter(said["blobs"])): 2**60}), "has an index that is not right"),
    (lambda said: said.update(templates={"../x": next(iter(said["blobs"]))}), "Template ../x"),
    (lambda said: said.update(boot_programs={"evil.efi": next(iter(said["blobs"]))}), "is no boot program"),
    (lambda said: said.update(assumed={"1" * 64: 5}), "leaves out what an earlier snapshot holds"),
]


def test_an_index_that_no_appliance_makes_is_refused_though_it_is_signed(source: Appliance, other: Appliance) -> None:
    (part,) = parts_of(source)
    part.chmod(0o644)
    whole, signature = part.read_bytes(), resigned(source)
    for change, says in CHANGES:
        part.write_bytes(whole)
        rebuilt(part, data=change, signature=signature)
        assert says in refused(other, source, [part])


def test_a_member_that_the_index_does_not_name_or_names_otherwise_is_refused(
    source: Appliance, other: Appliance
) -> None:
    (part,) = parts_of(source)
    whole = part.read_bytes()
    for change in (
        lambda rest: rest.append(("../../etc/cron.d/evil", b"* * * * * root sh")),
        lambda rest: rest.insert(0, ("blobs/" + "0" * 64, b"more")),
        lambda rest: rest.reverse(),
        lambda rest: rest.pop(),
    ):
        part.chmod(0o644)
        part.write_bytes(whole)
        rebuilt(part, blobs=change)
        assert refused(other, source, [part])
    assert not (other.settings.data_dir.parent / "etc").exists()


def test_an_archive_that_is_none_of_ours_is_refused(source: Appliance, other: Appliance, tmp_path: Path) -> None:
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_SPARSE)
    for kind in kinds:
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            about = tarfile.TarInfo("bundle.json")
            about.type, about.linkname = kind, "/etc/passwd"
            archive.addfile(about)
        path = tmp_path / "evil.001-of-001"
        path.write_bytes(made.getvalue())
        refused(other, source, [path])
    path.write_bytes(b"\x1f\x8b" + b"\0" * 4096)
    refused(other, source, [path])


def test_a_list_that_would_be_unpacked_to_gigabytes_is_not_unpacked(
    source: Appliance, other: Appliance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed by somebody who is trusted, with a list of a few kilobytes that is a thousand times as large."""
    monkeypatch.setattr(checking, "LARGEST", 4 * MIB)
    bomb = source.store.add_bytes(zlib.compress(b" " * (5 * MIB), 9))
    with source.database.write() as session:
        row = snapshots.get(session, "2026-11")
        row.repositories[0].packages = bomb.sha256
        row.digest = snapshots.digest_of(row.repositories)
    assert bomb.size < MIB
    source.make("site", snapshots=["2026-11"])
    assert "has a list that would be larger" in refused(other, source, source.parts("site"))


def test_what_a_snapshot_serves_must_be_in_it(source: Appliance, other: Appliance) -> None:
    with source.database.write() as session:
        row = snapshots.get(session, "2026-11")
        listed = packages.load(source.store, row.repositories[0].packages)
        lying = [replace(each, sha256="0" * 64) if each.version == "3" else each for each in listed]
        row.repositories[0].packages = packages.save(source.store, lying)
        row.digest = snapshots.digest_of(row.repositories)
    source.make("site", snapshots=["2026-11"])
    assert "lists nova 3, which is not the file that it serves" in refused(other, source, source.parts("site"))


def test_a_file_elsewhere_on_the_appliance_is_no_part(other: Appliance, tmp_path: Path) -> None:
    outside = tmp_path / "outside.001-of-001"
    outside.write_bytes(b"x")
    folder = other.settings.data_dir / "incoming"
    folder.mkdir()
    (folder / "link.001-of-001").symlink_to(outside)
    for said in (str(outside), "../outside.001-of-001", "link.001-of-001"):
        with pytest.raises(Invalid, match="does not lie below"):
            importing.within(other.settings.data_dir, [said])


def test_every_byte_of_every_blob_has_its_place_whatever_their_sizes() -> None:
    sizes = [0, 1, 511, 512, 513, 70_000, 3 * MIB, 5 * MIB + 7, 100, MIB]
    blobs = [(f"{number:064x}", size) for number, size in enumerate(sizes)]
    for room in (0, MIB // 2, MIB, 2 * MIB + 13):
        parts = dividing.divide(blobs, room)
        for part in parts:
            assert not room or sum(ustar.taken(cut.length) for cut in part) <= room
        pieces = dividing.pieces(parts, dict(blobs), lambda _cut: "0" * 64)
        said = {"format": 1, "name": "x", "made_at": "", "made_on": "", "blobs": dict(blobs)}
        index.Index.model_validate({**said, "parts": [[piece.model_dump() for piece in part] for part in pieces]})


def test_a_name_that_is_no_part_is_taken_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(PxeError):
        reading.opened(reading.parts_beside(tmp_path / "none"), trusted=None)
