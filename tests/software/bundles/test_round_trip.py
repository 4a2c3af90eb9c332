"""What goes into a bundle on one appliance is on the other one afterwards, once and for all."""

from __future__ import annotations

from pathlib import Path

import pytest

from pxeapp.db import now
from pxeapp.errors import Invalid, PxeError
from pxeapp.software import media
from pxeapp.software.bundles import making, reading, service
from pxeapp.software.bundles.models import Bundle
from pxeapp.software.models import Release
from pxeapp.software.repositories import openpgp, signing
from pxeapp.software.snapshots import channels, verifying
from pxeapp.software.snapshots.models import Snapshot
from pxeapp.software.tasks import service as tasks
from pxeapp.software.tasks.models import SoftwareTask
from pxeapp.vault import open_vault
from tests.software.bundles.conftest import OPS, TEMPLATE, Appliance, needs_gpg

pytestmark = needs_gpg
MIB = 1024 * 1024


def everything(source: Appliance, name: str = "site", **more: object) -> list[Path]:
    source.add_release(settings={"snapshot": "2026-11"})
    source.save_template("# {{ spec.hostname }}\n")
    said = {"releases": ["debian-13"], "snapshots": ["2026-11"], "boot_programs": True, "templates": True, **more}
    task = source.make(name, **said)
    assert task.problem == ""
    assert task.result["signed_by"] == [source.fingerprint]
    return source.parts(name)


def arrives(source: Appliance, there: Appliance) -> None:
    parts = everything(source)
    task = there.bring(parts, trust=[source.fingerprint])
    assert task.problem == ""
    assert task.result["taken"]["snapshots"] == ["2026-11"]
    assert task.result["taken"]["releases"] == ["debian-13"]
    assert task.result["taken"]["templates"] == [TEMPLATE]
    assert there.served("snapshots/2026-11") == source.served("snapshots/2026-11")
    (ours,), (theirs,) = source.rows(Release), there.rows(Release)
    for name in ("family", "version", "kernel", "kernel_sha256", "initrd", "install_url", "repositories", "settings"):
        assert getattr(theirs, name) == getattr(ours, name)
    assert theirs.ready
    assert media.problem(there.settings, theirs) == ""
    assert there.templates().find(TEMPLATE).text() == "# {{ spec.hostname }}\n"  # type: ignore[union-attr]
    (snapshot,) = there.rows(Snapshot)
    assert snapshot.origin == "bundle site"
    assert [(row.name, row.direction) for row in there.rows(Bundle)] == [("site", "imported")]
    again = there.bring(parts, trust=[source.fingerprint])
    assert again.problem == ""
    assert not any(again.result["taken"].values())
    assert again.result["same"]["releases"] == ["debian-13"]


def test_all_that_was_chosen_arrives_and_twice_is_once(source: Appliance, other: Appliance) -> None:
    arrives(source, other)


@pytest.mark.postgresql
def test_from_an_appliance_on_sqlite_to_one_on_postgresql(source: Appliance, third: Appliance) -> None:
    arrives(source, third)


def test_it_comes_in_parts_that_are_not_larger_than_asked_for(source: Appliance, other: Appliance) -> None:
    source.publish("large", {"large_1": "x" * (3 * MIB), "small_1": "y"})
    source.take_snapshot("large")
    task = source.make("parts", snapshots=["large"], part_size=MIB)
    assert task.problem == ""
    parts = source.parts("parts")
    assert [path.name for path in parts] == [f"parts.{n:03d}-of-{len(parts):03d}" for n in range(1, len(parts) + 1)]
    assert len(parts) >= 4
    assert all(path.stat().st_size <= MIB for path in parts)
    verified = other.bring(parts, kind=service.VERIFY)
    assert verified.result["trusted"] is False
    assert verified.result["snapshots"] == ["large"]
    assert other.bring(list(reversed(parts)), trust=[source.fingerprint]).problem == ""
    assert other.served("snapshots/large") == source.served("snapshots/large")


def test_what_the_other_side_has_by_an_earlier_snapshot_is_left_out_and_must_be_there(
    source: Appliance, other: Appliance
) -> None:
    source.publish("nova", {**{f"nova_{number}": f"content {number}" * 3000 for number in range(6)}, "glance_1": "new"})
    source.take_snapshot("2026-12")
    source.make("first", snapshots=["2026-11"])
    source.make("more", snapshots=["2026-12"], since="2026-11")
    first, more = source.parts("first"), source.parts("more")
    assert sum(path.stat().st_size for path in more) < sum(path.stat().st_size for path in first) / 3
    refused = other.bring(more, trust=[source.fingerprint])
    assert "leaves out what snapshot 2026-11 holds" in refused.problem
    assert other.rows(Snapshot) == []
    for parts in (first, more):
        assert other.bring(parts, trust=[source.fingerprint]).problem == ""
    assert other.served("snapshots/2026-12") == source.served("snapshots/2026-12")


def test_whoever_is_not_trusted_brings_nothing_and_the_operator_is_told_whom_to_compare(
    source: Appliance, other: Appliance
) -> None:
    source.make("site", snapshots=["2026-11"])
    for trust in ([], ["0" * 40], [source.fingerprint[-16:]]):
        task = other.bring(source.parts("site"), trust=trust)
        assert f"--trust {source.fingerprint}" in task.problem
    assert other.rows(Snapshot) == []
    assert list(other.store) == []
    assert source.bring(source.parts("site")).problem == ""  # its own


def test_a_template_that_was_edited_here_stays_unless_somebody_says_otherwise(
    source: Appliance, other: Appliance
) -> None:
    parts = everything(source)
    other.save_template("# ours\n")
    task = other.bring(parts, trust=[source.fingerprint])
    assert task.result["kept"]["templates"] == [TEMPLATE]
    assert other.templates().find(TEMPLATE).text() == "# ours\n"  # type: ignore[union-attr]
    task = other.bring(parts, trust=[source.fingerprint], replace_templates=True)
    assert task.result["taken"]["templates"] == [TEMPLATE]
    assert other.templates().find(TEMPLATE).text() == "# {{ spec.hostname }}\n"  # type: ignore[union-attr]


def test_what_is_here_under_the_same_name_and_is_another_thing_refuses_the_whole(
    source: Appliance, other: Appliance
) -> None:
    parts = everything(source)
    other.publish("nova", {"nova_9": "of theirs"})
    other.take_snapshot("2026-11")
    other.add_release(kernel=b"another kernel")
    task = other.bring(parts, trust=[source.fingerprint])
    assert "There is a snapshot 2026-11 here already" in task.problem
    assert "There is a release debian-13 here already" in task.problem
    assert other.templates().find(TEMPLATE) is None
    assert other.rows(Bundle) == []


def test_a_release_is_not_sent_without_the_snapshot_that_it_is_pinned_to(source: Appliance) -> None:
    source.add_release(settings={"snapshot": "2026-11"})
    assert "Add --snapshot 2026-11" in source.make("site", releases=["debian-13"]).problem


def test_what_cannot_be_made_is_said_at_once(source: Appliance) -> None:
    for said, problem in (
        ({}, "The bundle cannot be made"),
        ({"snapshots": ["2026-11"], "part_size": 1000}, "too few"),
        ({"snapshots": ["none"]}, "no snapshot 'none'"),
        ({"releases": ["none"]}, "no release 'none'"),
    ):
        with pytest.raises(PxeError) as caught:
            source.make("site", **said)
        assert problem in " ".join([str(caught.value), *map(str, getattr(caught.value, "problems", ()))])
    with pytest.raises(Invalid):
        source.make("../site", snapshots=["2026-11"])
    assert source.rows(SoftwareTask)[-1].kind != service.CREATE


def test_one_part_names_all_and_a_folder_names_those_in_it(source: Appliance) -> None:
    source.publish("large", {"large_1": "x" * (2 * MIB)})
    source.take_snapshot("large")
    source.make("parts", snapshots=["large"], part_size=MIB)
    parts = source.parts("parts")
    folder = making.folder(source.settings.data_dir, "parts")
    assert (
        reading.parts_beside(parts[1])
        == reading.parts_beside(folder)
        == reading.parts_beside(folder / "parts")
        == parts
    )


def test_what_another_appliance_signed_is_served_under_our_own_signature(source: Appliance, other: Appliance) -> None:
    release = b"Suite: stable\nDate: Thu, 26 Nov 2026 00:00:00 UTC\nSHA256:\n"
    files = {"dists/stable/Release": release, "dists/stable/InRelease": b"theirs", "dists/stable/Release.gpg": b"x"}
    source.publish("signed", {"nova_1": "x"}, files=files)
    source.take_snapshot("signed")
    signing.add(
        other.database, open_vault(other.settings.data_dir), actor=OPS, now=now(), algorithm="ed25519", owner="ours"
    )
    with other.database.read() as session:
        ours = signing.in_use(session)[0].public.encode()
    source.make("site", snapshots=["signed"])
    assert other.bring(source.parts("site"), trust=[source.fingerprint]).problem == ""
    tree = other.settings.data_dir / "repo/snapshots/signed/signed/dists/stable"
    said = openpgp.verified_clear((tree / "InRelease").read_bytes(), ours, name="InRelease")
    assert said.strip() == release.strip()
    openpgp.verify_detached(release, (tree / "Release.gpg").read_bytes(), ours, name="Release.gpg")
    with other.database.write() as session:
        tasks.order(session, verifying.VERIFY, "signed", {}, actor=OPS, now=now())
    assert other.done().problem == ""
    assert source.rows(Snapshot)[-1].digest == other.rows(Snapshot)[-1].digest


def test_a_release_that_is_pinned_to_a_channel_comes_only_where_that_has_what_it_reads(
    source: Appliance, other: Appliance
) -> None:
    with source.database.write() as session:
        channels.promote(session, "2026-11", "dev", actor=OPS, now=now())
    source.work()
    source.add_release(settings={"snapshot": "channel:dev"})
    source.make("site", releases=["debian-13"], snapshots=["2026-11"])
    task = other.bring(source.parts("site"), trust=[source.fingerprint])
    assert "Release debian-13: Channel dev leads to no snapshot yet." in task.problem
    assert (other.rows(Release), other.rows(Snapshot)) == ([], [])
    other.publish("nova", {"nova_1": "theirs"})
    other.take_snapshot("theirs")
    with other.database.write() as session:
        channels.promote(session, "theirs", "dev", actor=OPS, now=now())
    other.work()
    assert other.bring(source.parts("site"), trust=[source.fingerprint]).problem == ""
