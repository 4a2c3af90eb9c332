"""Manifests and trees: plain paths only; a tree is there whole or not at all."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pxeapp.errors import Conflict, Invalid, NotFound
from pxeapp.software.content import space, tree
from pxeapp.software.content.manifest import Entry, Manifest
from pxeapp.software.content.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "software")


def a_tree(store: Store, **files: str) -> Manifest:
    entries = []
    for path, text in files.items():
        blob = store.add_bytes(text.encode())
        entries.append(Entry(path.replace("__", "/"), blob.sha256, blob.size))
    return Manifest(entries)


def shown(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "a/../b", "a//b", "", ".", "a/", "a\nb", "a\x00", "a\\b", "x" * 300]
)
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(Invalid):
        Manifest([Entry(path, "0" * 64, 1)])


def test_a_file_cannot_be_a_folder_too() -> None:
    with pytest.raises(Invalid, match="needs it to be a folder"):
        Manifest([Entry("a", "0" * 64, 1), Entry("a/b", "0" * 64, 1)])
    with pytest.raises(Invalid, match="twice"):
        Manifest([Entry("a", "0" * 64, 1), Entry("a", "1" * 64, 1)])


def test_the_same_tree_has_the_same_hash_and_comes_back(store: Store) -> None:
    manifest = a_tree(store, b="2", a__c="1")
    assert manifest.save(store) == Manifest(reversed(list(manifest))).save(store)
    assert Manifest.load(store, manifest.save(store)) == manifest
    assert manifest.bytes == 2
    assert len(Manifest.load(store, "")) == 0


def test_a_tree_is_exchanged_for_the_next_one_and_keeps_what_it_is_told_to(store: Store, tmp_path: Path) -> None:
    old, new = a_tree(store, index="old", pool__a="a", pool__b="b"), a_tree(store, index="new", pool__b="b")
    tree.publish(store, old, tmp_path / "repo" / "one")
    assert shown(tmp_path / "repo" / "one") == {"index": "old", "pool/a": "a", "pool/b": "b"}
    tree.publish(store, new, tmp_path / "repo" / "one", keep=[old])
    assert shown(tmp_path / "repo" / "one") == {"index": "new", "pool/a": "a", "pool/b": "b"}
    tree.publish(store, new, tmp_path / "repo" / "one")
    assert shown(tmp_path / "repo" / "one") == {"index": "new", "pool/b": "b"}
    assert [path.name for path in (tmp_path / "repo").iterdir() if not path.name.startswith(".lock")] == ["one"]


def test_an_older_file_never_stands_in_the_way_of_a_newer_folder(store: Store, tmp_path: Path) -> None:
    tree.publish(store, a_tree(store, a__b="new"), tmp_path / "t", keep=[a_tree(store, a="old", c="old")])
    assert shown(tmp_path / "t") == {"a/b": "new", "c": "old"}
    tree.publish(store, a_tree(store, a="new"), tmp_path / "t", keep=[a_tree(store, a__b="old")])
    assert shown(tmp_path / "t") == {"a": "new"}


def test_a_tree_whose_files_are_not_all_here_is_not_published(store: Store, tmp_path: Path) -> None:
    tree.publish(store, a_tree(store, a="1"), tmp_path / "t")
    with pytest.raises(NotFound):
        tree.publish(store, Manifest([Entry("a", "f" * 64, 1)]), tmp_path / "t")
    assert shown(tmp_path / "t") == {"a": "1"}


def test_a_reader_never_finds_a_tree_that_is_missing_or_mixed(store: Store, tmp_path: Path) -> None:
    trees = [a_tree(store, index=str(number), pool__x=str(number)) for number in range(2)]
    target = tmp_path / "t"
    tree.publish(store, trees[0], target)
    over, seen = threading.Event(), []

    def read() -> None:
        while not over.is_set():
            seen.append((target / "index").read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(60):
        tree.publish(store, trees[number % 2], target)
    over.set()
    reader.join(10)
    assert set(seen) <= {"0", "1"}
    assert len(seen) > 1


def test_what_a_killed_publication_left_is_cleared_away(store: Store, tmp_path: Path) -> None:
    (tmp_path / ".new-left").mkdir()
    (tmp_path / ".new-left" / "x").write_text("x")
    tree.publish(store, a_tree(store, a="1"), tmp_path / "t")
    assert not (tmp_path / ".new-left").exists()
    tree.withdraw(tmp_path / "t")
    tree.withdraw(tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_a_disk_that_is_too_small_is_a_sentence(tmp_path: Path) -> None:
    space.need(tmp_path / "not" / "yet", 1024, for_what="This")
    with pytest.raises(Conflict, match=r"The ISO needs 1048576 GiB, and .* are free on the disk of "):
        space.need(tmp_path, 2**50, for_what="The ISO")
    assert [space.shown(each) for each in (12, 3 * 1024, 1536 * 1024**2)] == ["12 bytes", "3.0 KiB", "1.5 GiB"]
