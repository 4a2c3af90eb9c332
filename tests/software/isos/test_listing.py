"""Hostile images: one name that is not plain refuses the whole of it, before anything of it is read."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pxeapp.errors import Invalid
from pxeapp.software.isos import contents, image, listing
from pxeapp.software.isos.listing import Listing
from tests.software.isos import making

pytestmark = making.needs_programs


def listed(path: Path) -> Listing:
    return listing.read(image.look(path))


def tree(folder: Path) -> Path:
    return making.write(folder, {"dists/trixie/Release": "release", "pool/a.deb": "package", "README": "hello"})


def test_files_hard_links_and_names_that_differ_only_in_case_are_plain(tmp_path: Path) -> None:
    made = making.write(tree(tmp_path / "tree"), {"readme": "other", "empty": b"", "pool/ü -> x.deb": "ü"})
    (made / "pool/b.deb").hardlink_to(made / "pool/a.deb")
    found = listed(making.iso(made, tmp_path / "x.iso"))
    assert (found.files["README"], found.files["readme"], found.files["empty"]) == (5, 5, 0)
    assert {"pool/a.deb", "pool/b.deb"} == {*found.same, *found.same.values()}
    assert found.files["pool/ü -> x.deb"] == 2
    assert "dists/trixie" in found.folders


def test_links_within_the_tree_are_files_under_another_name_and_circles_are_left_out(tmp_path: Path) -> None:
    made = tree(tmp_path / "tree")
    (made / "debian").symlink_to(".")
    (made / "dists/stable").symlink_to("trixie")
    (made / "pool/here").symlink_to("../pool")
    (made / "start").symlink_to("dists/stable/../../README")
    (made / "gone").symlink_to("dists/sid")
    aliases, dropped = listing.resolved(listed(making.iso(made, tmp_path / "x.iso")))
    assert aliases == {"dists/stable/Release": "dists/trixie/Release", "start": "README"}
    assert dropped == ["debian", "gone", "pool/here"]


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../etc/passwd", "..", "a/../../../x", "pool/../../x"])
def test_a_link_that_leaves_the_tree_refuses_the_image(target: str, tmp_path: Path) -> None:
    made = tree(tmp_path / "tree")
    (made / "evil").symlink_to(target)
    with pytest.raises(Invalid, match=r"evil in x.iso is a link that leaves the tree"):
        listed(making.iso(made, tmp_path / "x.iso"))


def _device(path: Path) -> None:
    try:
        os.mknod(path, 0o20666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes device nodes")


@pytest.mark.parametrize(("make", "said"), [(_device, "a character device"), (os.mkfifo, "a named pipe")])
def test_a_device_or_a_pipe_refuses_the_image(make: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    made = tree(tmp_path / "tree")
    make(made / "null")
    with pytest.raises(Invalid, match=f"null in x.iso is {said}"):
        listed(making.iso(made, tmp_path / "x.iso"))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (b"aaEVILaa", b"../../ev", "could lie outside its tree"),
        (b"aaEVILaa", b"/etc/pas", "could lie outside its tree"),
        (b"aaEVILaa", b"line\nfee", "could lie outside its tree"),
        (b"aaEVILaa", b"back\\sla", "could lie outside its tree"),
        (b"aaEVILaa", b"aa\xff\xfe\xfdaa.", "x.iso"),
        (b"aaEVILaa", b"bbOTHERb", "is in x.iso twice"),
    ],
)
def test_a_name_that_is_a_path_refuses_the_image(before: bytes, after: bytes, said: str, tmp_path: Path) -> None:
    made = making.write(tree(tmp_path / "tree"), {"aaEVILaa": "evil", "bbOTHERb": "other"})
    path = making.iso(made, tmp_path / "x.iso")
    content = path.read_bytes()
    # Its name as Rock Ridge has it: the NM entry, with its length before it.
    assert content.count(b"NM\x0d\x01\x00" + before) == 1
    path.write_bytes(content.replace(b"NM\x0d\x01\x00" + before, b"NM\x0d\x01\x00" + after))
    with pytest.raises(Invalid, match=said):
        listed(path)


def test_files_that_claim_more_than_the_image_holds_refuse_it(tmp_path: Path) -> None:
    made = making.write(tree(tmp_path / "tree"), {f"f{number}": os.urandom(3000) for number in range(3)})
    path = making.iso(made, tmp_path / "x.iso")
    content = path.read_bytes()
    size, more = 3000, path.stat().st_size * 2 // 3
    both = [number.to_bytes(4, "little") + number.to_bytes(4, "big") for number in (size, more)]
    path.write_bytes(content.replace(*both))
    with pytest.raises(Invalid, match=r"claim to hold \d+ bytes, and the image has"):
        listed(path)


def test_an_image_whose_folders_are_broken_cannot_be_read(tmp_path: Path) -> None:
    path = making.iso(tree(tmp_path / "tree"), tmp_path / "x.iso")
    content = bytearray(path.read_bytes())
    root = int.from_bytes(content[16 * 2048 + 158 :][:4], "little") * 2048
    content[root : root + 2048] = b"\xa5" * 2048
    path.write_bytes(content)
    with pytest.raises(Invalid, match=r"x\.iso cannot be read: "):
        listed(path)


def test_a_folder_that_claims_to_be_huge_takes_no_memory(tmp_path: Path) -> None:
    path = making.iso(tree(tmp_path / "tree"), tmp_path / "x.iso")
    content = bytearray(path.read_bytes())
    descriptor = 16 * 2048
    root = int.from_bytes(content[descriptor + 158 :][:4], "little") * 2048
    huge = 0x7FFFF800
    for at in (descriptor + 156 + 10, root + 10):
        content[at : at + 8] = huge.to_bytes(4, "little") + huge.to_bytes(4, "big")
    path.write_bytes(content)
    os.truncate(path, 3 * 1024**3)  # of holes: its bytes would be there to read
    with pytest.raises(Invalid, match=r"x\.iso cannot be read: "):
        listed(path)


def test_many_files_and_deep_folders_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = making.write(tmp_path / "tree", {"/".join(f"d{number}" for number in range(listing.MAX_DEPTH + 1)): "x"})
    with pytest.raises(Invalid, match="lies too deep"):
        listed(making.iso(made, tmp_path / "x.iso"))
    monkeypatch.setattr(listing, "MAX_FILES", 3)
    with pytest.raises(Invalid, match="more than 3 files"):
        listed(making.iso(tree(tmp_path / "other"), tmp_path / "y.iso"))


def test_the_stream_gives_every_file_but_the_known_ones_and_does_not_read_those(tmp_path: Path) -> None:
    made = making.write(tree(tmp_path / "tree"), {"pool/x[1]*.deb": "odd", "pool/sub/y": "y", "dists/z": "z"})
    iso = image.look(making.iso(made, tmp_path / "x.iso"))
    found = listing.read(iso)
    everything = {path: content.read() for path, _, content in contents.stream(iso, found)}
    assert everything["pool/x[1]*.deb"] == b"odd"
    assert {path: len(content) for path, content in everything.items()} == found.files
    known = {"pool/x[1]*.deb", "pool/sub/y", "README", "dists/z", "dists/trixie/Release"}
    assert {path for path, _, _ in contents.stream(iso, found, known)} == {"pool/a.deb"}
    assert not list(contents.stream(iso, found, set(found.files)))
    patterns = contents.everything_but({"pool/a.deb"}, found)
    assert "^dists/*" in patterns
    assert "^pool/sub/*" in patterns
    assert contents.small(iso, found, "pool/x[1]*.deb") == b"odd"
    assert contents.small(iso, found, "nothing") == b""


def test_an_image_that_changes_after_it_was_listed_is_refused(tmp_path: Path) -> None:
    iso = image.look(making.iso(tree(tmp_path / "tree"), tmp_path / "x.iso"))
    found = listing.read(iso)
    other = listing.Listing({**found.files, "README": 4}, {}, {}, found.folders)
    with pytest.raises(Invalid, match=r"README in x\.iso is not what was listed"):
        list(contents.stream(iso, other))
    more = listing.Listing({**found.files, "more": 4}, {}, {}, found.folders)
    with pytest.raises(Invalid, match=r"x\.iso ends before more"):
        list(contents.stream(iso, more))


def test_nothing_is_left_running_when_nobody_reads_on(tmp_path: Path) -> None:
    iso = image.look(making.iso(making.write(tmp_path / "t", {"a": os.urandom(900_000), "b": "x"}), tmp_path / "x.iso"))
    stream = contents.stream(iso, listing.read(iso))
    next(stream)
    stream.close()
    children = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "comm="], capture_output=True, text=True, check=False
    )
    assert "bsdtar" not in children.stdout
