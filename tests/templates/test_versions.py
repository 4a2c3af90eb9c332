"""What a text was made from; and templates that are proposed, rendered as if they were saved."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pxeapp.templates import TemplateError, Templates, data_root
from pxeapp.templates.versions import recording

LOCAL = {"reason": "x", "identity_url": "", "local_disk_url": "http://10.0.0.1:8081/x"}


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_ours_are_recorded_with_all_that_they_may_include() -> None:
    with recording() as found:
        Templates().render("boot/local.ipxe", **LOCAL)
    assert set(found) >= {"boot/local.ipxe", "boot/_local.ipxe"}
    assert {version.of for version in found.values()} == {"ours"}
    for name, version in found.items():
        assert version.sha256 == _hash(data_root() / name)


def test_a_sites_own_is_recorded_with_what_stands_in_it_now(tmp_path: Path) -> None:
    templates = Templates(tmp_path)
    (tmp_path / "boot").mkdir()
    path = tmp_path / "boot/_local.ipxe"
    hashes = []
    for text in ("# one\n", "# another one\n"):
        path.write_text(text)
        with recording() as found:
            templates.render("boot/local.ipxe", **LOCAL)
        assert found["boot/_local.ipxe"] == ("site", _hash(path))
        assert found["boot/local.ipxe"].of == "ours"
        hashes.append(found["boot/_local.ipxe"].sha256)
    assert hashes[0] != hashes[1]


def test_outside_of_a_recording_nothing_is_noted() -> None:
    with recording() as found:
        pass
    Templates().render("boot/local.ipxe", **LOCAL)
    assert found == {}


def test_a_proposed_template_is_rendered_confined_and_nothing_is_written(tmp_path: Path) -> None:
    saved = Templates(tmp_path)
    before = saved.render("boot/local.ipxe", **LOCAL)
    proposed = saved.proposing({"boot/_local.ipxe": "# thought about\n"})
    with recording() as found:
        text = proposed.render("boot/local.ipxe", **LOCAL)
    assert text.endswith("# thought about\n")
    assert found["boot/_local.ipxe"].of == "proposed"
    assert proposed.is_sites_own("boot/local.ipxe")
    assert not saved.is_sites_own("boot/local.ipxe")
    assert saved.render("boot/local.ipxe", **LOCAL) == before
    assert list(tmp_path.iterdir()) == []
    escape = saved.proposing({"boot/_local.ipxe": "{{ ''.__class__.__mro__ }}"})
    with pytest.raises(TemplateError, match=r"the proposed boot/_local.ipxe, line 1: access to attribute '__class__'"):
        escape.render("boot/local.ipxe", **LOCAL)


def test_a_sites_template_can_be_thought_away(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/_local.ipxe").write_text("# the site's\n")
    saved = Templates(tmp_path)
    assert saved.render("boot/local.ipxe", **LOCAL).endswith("# the site's\n")
    without = saved.proposing({"boot/_local.ipxe": None})
    assert not without.is_sites_own("boot/local.ipxe")
    assert without.render("boot/local.ipxe", **LOCAL) == Templates().render("boot/local.ipxe", **LOCAL)


@pytest.mark.parametrize("name", ["/etc/passwd", "../boot/x", "web/base.html", "boot/../../x", ""])
def test_nothing_outside_of_the_folders_can_be_proposed(name: str) -> None:
    with pytest.raises(TemplateError, match="is not below one of"):
        Templates().proposing({name: "x"})


def test_what_is_proposed_is_no_larger_than_what_can_be_saved() -> None:
    with pytest.raises(TemplateError, match="larger than 1024 KiB"):
        Templates().proposing({"boot/_local.ipxe": "x" * (1024 * 1024 + 1)})
