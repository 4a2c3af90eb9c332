"""A site's templates as versions: what is saved counts on every host, and nothing that somebody wrote is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from pxeapp.answers import site_templates
from pxeapp.db import Database, now
from pxeapp.errors import Invalid, NotFound
from pxeapp.templates import Templates

PATH = "kickstarts/monitor.ks"


class Host:
    """A data directory of its own over the shared database."""

    def __init__(self, database: Database, folder: Path) -> None:
        folder.mkdir()
        self.database, self.folder = database, folder / "templates"
        self.templates = Templates(self.folder)

    def save(self, text: str, path: str = PATH, author: str = "user:ada") -> int | None:
        with self.database.write() as session:
            row = site_templates.save(session, self.templates, path, text, author=author, comment="", now=now())
            number = row.number if row is not None else None
        site_templates.bring(self.database, self.folder)
        return number

    def text(self, path: str = PATH) -> str | None:
        file = self.folder / path
        return file.read_text() if file.is_file() else None

    def history(self, path: str = PATH) -> list[tuple[int, str, str | None]]:
        with self.database.read() as session:
            return [(row.number, row.author, row.content) for row in site_templates.versions(session, path)]


@pytest.fixture
def host(database: Database, tmp_path: Path) -> Host:
    return Host(database, tmp_path / "one")


def test_each_save_is_a_version_and_the_newest_lies_in_the_folder(host: Host) -> None:
    assert (host.save("one\r\n"), host.save("two\n"), host.save("two\n")) == (1, 2, None)
    assert host.text() == "two\n"
    assert host.history() == [(2, "user:ada", "two\n"), (1, "user:ada", "one\n")]


def test_another_host_writes_it_out_before_its_next_transaction(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_database = Database(host.database.url)
    other = Host(other_database, tmp_path / "two")
    monkeypatch.setattr(site_templates, "LOOK_EVERY_S", 0.0)
    site_templates.watch(other_database, other.folder)
    host.save("one")
    with other_database.read():
        assert other.text() == "one"
    with host.database.write() as session:
        site_templates.delete(session, host.templates, PATH, author="user:ada", now=now())
    with other_database.read():
        assert other.text() is None
    other_database.dispose()


def test_what_somebody_laid_there_by_hand_counts_and_is_put_on_record_before_it_is_replaced(host: Host) -> None:
    host.save("one")
    (host.folder / PATH).write_text("by hand")
    site_templates.bring(host.database, host.folder)
    assert host.text() == "by hand", "nothing newer was saved"
    host.save("two")
    assert [content for _, _, content in host.history()] == ["two", "by hand", "one"]
    with host.database.write() as session:
        site_templates.rollback(session, host.templates, PATH, 2, author="user:ada", now=now())
    site_templates.bring(host.database, host.folder)
    assert host.text() == "by hand"


def test_one_that_is_taken_away_gives_way_to_ours_and_keeps_its_versions(host: Host) -> None:
    path = "kickstarts/base.ks"
    host.save("mine", path)
    with host.database.write() as session:
        assert site_templates.shown(session, host.templates, path)["of"] == "site"
        site_templates.delete(session, host.templates, path, author="user:ada", now=now())
    site_templates.bring(host.database, host.folder)
    with host.database.read() as session:
        about = site_templates.shown(session, host.templates, path)
        assert (about["of"], about["text"], about["latest"]) == ("ours", about["ours"], 2)
        with pytest.raises(NotFound):
            site_templates.delete(session, host.templates, path, author="user:ada", now=now())


@pytest.mark.parametrize(
    "path",
    ["kickstarts", "kickstarts/", "/etc/passwd", "kickstarts/../boot/x", "kickstarts//x", "other/x", "kickstarts/.x",
     "kickstarts/a b", "kickstarts/x\0", "kickstarts/x\n", "roles/compute", "kickstarts/" + "a" * 200],
)  # fmt: skip
def test_a_place_where_no_template_may_lie_is_refused(host: Host, path: str) -> None:
    with pytest.raises(Invalid):
        host.save("x", path)
    assert not host.folder.exists() or list(host.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [(PATH, "{{ oops"), (PATH, "a\0b"), (PATH, "x" * (1024 * 1024 + 1)), ("roles/compute/role.yaml", "a: ["),
     ("roles/compute/role.yaml", "variables: 7")],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_and_nothing_is_kept(host: Host, path: str, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        host.save(text, path)
    assert caught.value.problems
    assert host.history(path) == []
    assert host.text(path) is None
