"""Everything that the product makes in its data directory is kept in a backup, or has its reason why not."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pxeapp
from pxeapp.backup import archive
from pxeapp.backup.kept import KEPT, Kept, folders
from pxeapp.backup.making import Wish
from pxeapp.config import Settings
from tests.backup.conftest import backup, restore

CODE = Path(pxeapp.__file__).parent
OTHERS = ("lab", "backup")  # another data directory; what is said here
NAME = re.compile(r"[a-z][\w.-]*")


def made() -> Iterator[tuple[str, str]]:
    """Whatever the code joins to a data directory, and where it does."""
    for path in sorted(CODE.rglob("*.py")):
        if path.relative_to(CODE).parts[0] in OTHERS:
            continue
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)):
                continue
            left = node.left
            if "data_dir" in (getattr(left, "attr", ""), getattr(left, "id", "")):
                yield _text(path, node.right), f"{path.relative_to(CODE)}:{node.lineno}"


def _text(path: Path, node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value).partition("/")[0]
    module = ".".join(("pxeapp", *path.relative_to(CODE).with_suffix("").parts)).removesuffix(".__init__")
    found = importlib.import_module(module)
    for part in ast.unparse(node).split("."):
        found = getattr(found, part)
    return str(found).partition("/")[0]


def test_everything_in_the_data_directory_is_kept_or_says_why_not() -> None:
    found = dict(made())
    assert {place: name for name, place in found.items() if name not in KEPT} == {}
    assert set(KEPT) - set(found) == set()  # nor does a line outlive what it speaks of
    assert all(NAME.fullmatch(name) and entry.why for name, entry in KEPT.items())


@pytest.mark.parametrize("media", [False, True])
def test_what_is_kept_comes_back(settings: Settings, tmp_path: Path, media: bool) -> None:
    for name in KEPT:
        if not name.endswith((".key", ".db")):
            folder = settings.data_dir / name / "pool"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "of-the-site").write_text(name)
    script = settings.playbooks_dir / "roles" / "check.sh"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    source = backup(settings, tmp_path / "b.tar.gz", Wish(media=media))
    elsewhere = tmp_path / "elsewhere"
    restore(source, elsewhere)
    back = {path.parts[-3] for path in elsewhere.rglob("of-the-site")}
    assert back == set(folders(media=media))
    always = {"templates", "playbooks", "keyrings"}
    assert back == always | ({"media", "udebs", "repo", "software", "boot-programs", "consoles"} if media else set())
    assert (elsewhere / "playbooks/roles/check.sh").stat().st_mode & 0o777 == 0o750
    assert (elsewhere / "templates/kickstarts/monitor.ks").stat().st_mode & 0o777 == 0o640
    if media:
        assert (elsewhere / "media/pool/of-the-site").stat().st_mode & 0o777 == 0o644  # nginx may be another user
        assert (elsewhere / "media").stat().st_mode & 0o777 == 0o755
        assert (elsewhere / "consoles/pool/of-the-site").stat().st_mode & 0o777 == 0o600


def test_a_recording_that_goes_meanwhile_stops_no_backup(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings = settings.data_dir / "consoles"
    recordings.mkdir()
    (recordings / "1.cast").write_text("old")
    add = archive.Writer.add

    def add_after_a_while(self: archive.Writer, name: str, path: Path) -> None:
        (recordings / "1.cast").unlink(missing_ok=True)
        add(self, name, path)

    monkeypatch.setattr(archive.Writer, "add", add_after_a_while)
    backup(settings, tmp_path / "b.tar.gz", Wish(media=True))


def test_only_what_is_wanted_goes_into_the_archive() -> None:
    assert not {name for name, entry in KEPT.items() if entry.kept is Kept.NEVER} & set(folders(media=True))
