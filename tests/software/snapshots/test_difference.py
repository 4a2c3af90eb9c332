"""What differs between two snapshots: as somebody who decides about an update wants to read it."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxeapp.db import now
from pxeapp.errors import NotFound
from pxeapp.software.content.manifest import Entry, Manifest
from pxeapp.software.packages import Package, compare
from pxeapp.software.snapshots import advisories, comparing, difference, service
from pxeapp.software.snapshots.commands import described
from pxeapp.software.snapshots.difference import Change
from tests.software.snapshots.conftest import OPS, Site

UPDATEINFO = b"""<?xml version="1.0"?><updates>
<update from="x" status="final" type="security" version="1"><id>ALSA-2026:1</id><title>Important: nova</title>
<severity>Important</severity><references><reference type="cve" id="CVE-2026-1" title="CVE-2026-1"/>
<reference type="self" id="ALSA"/></references><pkglist><collection><name>c</name>
<package name="nova" version="2" release="1" arch="x86_64"><filename>nova-2-1.rpm</filename></package>
</collection></pkglist></update></updates>"""


def package(said: str, content: str = "", source: str = "") -> Package:
    name, _, version = said.partition("_")
    return Package("deb", name, version, "amd64", f"pool/{said}.deb", content or said, 1, source)


def changes(old: list[Package], new: list[Package]) -> list[Change]:
    return list(difference.compared("deb", old, new))


def test_each_package_is_told_as_what_happened_to_it_and_the_worst_first_within_its_source() -> None:
    old = [package("a_1"), package("b_2"), package("c_1"), package("d_1", "one"), package("e_1"), package("e_0")]
    new = [package("a_1.1"), package("b_1"), package("d_1", "another"), package("f_1"), package("e_1")]
    assert [(each.kind, each.name, each.old, each.new) for each in changes(old, new)] == [
        ("upgraded", "a", "1", "1.1"),
        ("downgraded", "b", "2", "1"),
        ("removed", "c", "1", ""),
        ("altered", "d", "1", "1"),
        ("removed", "e", "0", ""),
        ("added", "f", "", "1"),
    ]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["1", "2", "1.5", "1~rc1"]), st.sampled_from("xy"))),
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["1", "2", "1.5", "1~rc1"]), st.sampled_from("xy"))),
)
def test_there_and_back_are_each_others_mirror_and_the_same_differs_in_nothing(
    left: list[tuple[str, str, str]], right: list[tuple[str, str, str]]
) -> None:
    old, new = ([package(f"{name}_{version}", content) for name, version, content in side] for side in (left, right))
    mirror = {"added": "removed", "removed": "added", "upgraded": "downgraded", "downgraded": "upgraded"}
    there = {(each.kind, each.name, each.old, each.new) for each in changes(old, new)}
    back = {(mirror.get(each.kind, each.kind), each.name, each.new, each.old) for each in changes(new, old)}
    assert there == back
    assert changes(old, old) == []
    for kind, _name, before, after in there:
        assert kind not in ("upgraded", "downgraded") or compare("deb", before, after) == (-1 if kind[0] == "u" else 1)


def take(site: Site, name: str) -> None:
    with site.database.write() as session:
        service.take(session, name, actor=OPS, now=now())


def lines(site: Site, old: str, new: str = "now") -> list[str]:
    with site.database.read() as session:
        found = comparing.compare(session, site.store, old, new)
    return list(described({"items": [each.wire() for each in found]}))


def test_two_snapshots_or_one_and_now_are_compared_by_repository(site: Site) -> None:
    site.publish("nova", {"nova-api_1": "api", "nova-common_1": "c"})
    site.publish("same", {"x_1": "x"})
    take(site, "a")
    site.publish("nova", {"nova-api_2": "api2", "nova-common_1": "altered"})
    site.publish("fresh", {"y_1": "y"})
    take(site, "b")
    expected = [
        "fresh: 1 added", "  y", "    + y.amd64 1",
        "  Its metadata tell of no advisories, whether there are any or not.",
        "nova: 1 altered, 1 upgraded", "  nova", "    > nova-api.amd64 1 -> 2",
        "    !! nova-common.amd64 1 HAS OTHER CONTENT UNDER THE SAME VERSION",
        "  Its metadata tell of no advisories, whether there are any or not.", "same: same",
    ]  # fmt: skip
    assert lines(site, "a", "b") == expected == lines(site, "a")
    assert lines(site, "b", "b") == ["fresh: same", "nova: same", "same: same"]
    with site.database.read() as session:
        only = comparing.compare(session, site.store, "a", "b", repositories=["same"])
        assert [each.repository for each in only] == ["same"]
        for said in ("none", "channel:none"):
            with pytest.raises(NotFound):
                comparing.compare(session, site.store, "a", said)
        with pytest.raises(NotFound, match="has a repository 'x'"):
            comparing.compare(session, site.store, "a", "b", repositories=["x"])


def test_advisories_that_only_the_later_one_has_are_told_where_the_metadata_have_them(site: Site) -> None:
    site.publish(
        "el", {"nova_1": "one"}, kind="rpm", files={"repodata/1-updateinfo.xml.gz": gzip.compress(b"<updates/>")}
    )
    take(site, "a")
    packed = gzip.compress(UPDATEINFO)
    site.publish("el", {"nova_2": "two"}, kind="rpm", files={"repodata/2-updateinfo.xml.gz": packed})
    assert lines(site, "a")[-1] == "  ALSA-2026:1 (Important security): Important: nova CVE-2026-1"
    with site.database.read() as session:
        (found,) = comparing.compare(session, site.store, "a")
    assert found.advisories[0].packages == ("nova-2-1",)


def test_updateinfo_that_would_fill_the_memory_or_is_none_is_told_as_not_known(site: Site) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><updates>&a;</updates>'
    for content in (gzip.compress(bomb), b"no gzip", gzip.compress(b"<updates><update>")[:20], b""):
        blob = site.store.add_bytes(content)
        manifest = Manifest([Entry("repodata/x-updateinfo.xml.gz", blob.sha256, blob.size)])
        assert advisories.of_repository(site.store, manifest) is None
