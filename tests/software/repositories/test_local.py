"""Local repositories as operators have them: made, filled by uploads, emptied, listed, removed; and their tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from pxeapp.audit import AuditRow
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Conflict, Invalid, NotFound
from pxeapp.software import kinds
from pxeapp.software.content.store import Store
from pxeapp.software.repositories import keys, openpgp, publishing, service, signing
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.repositories.signing import Signer
from pxeapp.software.tasks.models import SoftwareTask
from pxeapp.software.tasks.runner import Runner
from tests.software import killing
from tests.software.repositories import built, served
from tests.software.repositories.conftest import NOW

NEEDED = ("dpkg-deb", "createrepo_c", "rpm", "rpmbuild")
pytestmark = pytest.mark.skipif(
    bool(served.missing(NEEDED)), reason=f"needs {' '.join(NEEDED)} (apt install dpkg createrepo-c rpm)"
)


class Shop:
    """An appliance with a software worker that comes by when it is told to."""

    def __init__(self, settings: Settings, database: Database, folder: Path) -> None:
        self.settings, self.database, self.folder = settings, database, folder
        self.store = Store(settings.data_dir / "software")
        self._runner = Runner(settings, kinds.loaders())
        self._runner._database = database

    def create(self, name: str = "tools", **said: Any) -> None:
        with self.database.write() as session:
            service.create(session, self.settings, {"name": name, "kind": "deb", **said}, actor="ann", now=NOW)

    def work(self) -> SoftwareTask:
        """The next task, done."""
        assert self._runner.look()
        with self.database.read() as session:
            return session.scalars(
                select(SoftwareTask)
                .where(SoftwareTask.finished_at.is_not(None))
                .order_by(SoftwareTask.finished_at.desc())
            ).all()[0]

    def file(self, path: Path) -> dict[str, str]:
        return {"sha256": self.store.add_file(path).sha256, "name": path.name}

    def edit(self, *add: Path, remove: tuple[str, ...] = (), name: str = "tools") -> SoftwareTask:
        with self.database.write() as session:
            service.edit(session, name, add=[self.file(each) for each in add], remove=remove, actor="ann", now=NOW)
        return self.work()

    def row(self, name: str = "tools") -> SoftwareRepository:
        with self.database.read() as session:
            return publishing.get(session, name)

    def packages(self, **said: Any) -> list[str]:
        found, _ = service.packages(self.store, self.row(), **{"limit": 100, **said})
        return [f"{each.name} {each.version}" for each in found]

    def tree(self, name: str = "tools") -> Path:
        return publishing.served_at(self.settings, name)


@pytest.fixture
def shop(settings: Settings, database: Database, tmp_path: Path, signer: Signer) -> Shop:
    return Shop(settings, database, tmp_path)


def test_a_new_repository_is_published_empty_and_signed(shop: Shop) -> None:
    shop.create()
    assert (shop.work().outcome, shop.row().published_at is not None) == ("done", True)
    release = (shop.tree() / "dists/stable/InRelease").read_bytes()
    assert (shop.tree() / "dists/stable/main/binary-amd64/Packages").read_bytes() == b""
    with shop.database.read() as session:
        assert openpgp.verified_clear(release, signing.in_use(session)[0].public.encode(), name="InRelease")


def test_uploads_are_added_and_others_removed_in_one_generation(shop: Shop) -> None:
    shop.create()
    shop.work()
    one, two = built.deb(shop.folder, "alpha"), built.deb(shop.folder, "beta", arch="amd64")
    done = shop.edit(one, two)
    assert (done.outcome, done.result["packages"], done.result["added_count"]) == ("done", 2, 2)
    newer = built.deb(shop.folder, "alpha", "1.1")
    done = shop.edit(newer, remove=("beta",))
    assert (done.outcome, done.result["removed"]) == ("done", ["beta 1.0 amd64"])
    assert shop.packages() == ["alpha 1.0", "alpha 1.1"]
    assert shop.edit(remove=("alpha=1.0",)).outcome == "done"
    assert shop.packages() == ["alpha 1.1"]
    assert shop.edit(newer).result["packages"] == 1  # the same file once more


def test_one_file_that_is_no_good_changes_nothing_and_all_of_them_are_named(shop: Shop) -> None:
    shop.create()
    shop.work()
    text = shop.folder / "text.deb"
    text.write_text("no package")
    foreign = built.deb(shop.folder, "foreign", arch="arm64")
    before = shop.row().manifest
    failed = shop.edit(built.deb(shop.folder, "alpha"), text, foreign)
    assert failed.outcome == "failed"
    assert "2 of 3 files cannot be published" in failed.problem
    assert "text.deb is no Debian package" in failed.problem.replace(":", "")
    assert "foreign_1.0_arm64.deb: is for arm64, and tools has amd64. No machine" in failed.problem
    failed = shop.edit(built.deb(shop.folder, "older", arch="i386"))
    assert "pxeapp repository change tools --architecture amd64 --architecture i386" in failed.problem
    assert shop.row().manifest == before
    assert shop.packages() == []


def test_the_same_version_with_another_content_is_refused_by_its_name(shop: Shop) -> None:
    shop.create()
    shop.work()
    shop.edit(built.deb(shop.folder, "alpha"))
    failed = shop.edit(built.deb(shop.folder, "alpha", content="other"))
    assert failed.outcome == "failed"
    assert "alpha 1.0 (all) is there already, with another content" in failed.problem


def test_rpms_are_a_repository_of_their_own_kind(shop: Shop) -> None:
    shop.create("rpms", kind="rpm")
    shop.work()
    done = shop.edit(built.rpm(shop.folder, "alpha"), name="rpms")
    assert (done.outcome, done.result["added"][0]["path"]) == ("done", "Packages/a/alpha-1.0-1.noarch.rpm")
    failed = shop.edit(built.deb(shop.folder, "beta"), name="rpms")
    assert "beta_1.0_all.deb is no RPM package" in failed.problem.replace(":", "")


def test_what_is_not_there_is_not_removed(shop: Shop) -> None:
    shop.create()
    shop.work()
    shop.edit(built.deb(shop.folder, "alpha"))
    failed = shop.edit(remove=("gamma", "alpha=9"))
    assert "'gamma' is not in tools" in failed.problem
    assert "'alpha=9' is not in tools" in failed.problem
    assert shop.packages() == ["alpha 1.0"]


def test_an_edit_that_was_killed_when_all_was_published_ends_at_the_next_try(shop: Shop) -> None:
    shop.create()
    shop.work()
    shop.edit(built.deb(shop.folder, "alpha"), built.deb(shop.folder, "beta"))
    add = [shop.file(built.deb(shop.folder, "gamma"))]
    with shop.database.write() as session:
        service.edit(session, "tools", add=add, remove=("alpha", "beta=1.0"), actor="ann", now=NOW)
    killing.killed_at_the_end(shop.settings, shop.database)
    generation = shop.row().manifest
    assert shop.packages() == ["gamma 1.0"]
    done = shop.work()
    assert (done.outcome, done.problem, done.result["added_count"]) == ("done", "", 1)
    assert (shop.packages(), shop.row().manifest) == (["gamma 1.0"], generation)


def test_packages_are_listed_page_by_page_and_searched(shop: Shop) -> None:
    shop.create()
    shop.work()
    shop.edit(*(built.deb(shop.folder, name) for name in ("alpha", "beta", "gamma")))
    found, after = service.packages(shop.store, shop.row(), limit=2)
    assert [each.name for each in found] == ["alpha", "beta"]
    found, end = service.packages(shop.store, shop.row(), limit=2, after=after)
    assert ([each.name for each in found], end) == (["gamma"], "")
    assert shop.packages(search="TINY bet") == ["beta 1.0"]
    assert shop.packages(search="tiny nothing") == []


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"name": "keys"}, "name"),
        ({"name": "../up"}, "name"),
        ({"name": "UP"}, "name"),
        ({"suite": "a b"}, "suite"),
        ({"components": ["main", "x/y"]}, "components"),
        ({"architectures": ["arm64"]}, "architectures"),
        ({"kind": "rpm", "suite": "stable"}, "suite"),
        ({"description": "one\ntwo"}, "description"),
    ],
)
def test_what_cannot_be_a_repository_is_refused_with_its_field(shop: Shop, said: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused, shop.database.write() as session:
        service.create(session, shop.settings, {"name": "tools", "kind": "deb", **said}, actor="ann", now=NOW)
    assert [problem.field for problem in refused.value.problems] == [field]


def test_a_folder_that_somebody_has_put_there_is_never_replaced(shop: Shop) -> None:
    shop.tree().mkdir(parents=True)
    (shop.tree() / "precious").write_text("mine")
    with pytest.raises(Conflict, match="was not made by this appliance"):
        shop.create()
    assert (shop.tree() / "precious").read_text() == "mine"


def test_a_repository_that_is_read_or_worked_on_is_not_removed(shop: Shop) -> None:
    shop.create()
    with shop.database.write() as session, pytest.raises(Conflict, match="works on tools"):
        service.remove(session, "tools", actor="ann", now=NOW)
    shop.work()
    with shop.database.write() as session:
        with pytest.raises(Conflict, match="read by release debian-12"):
            service.remove(session, "tools", readers=["release debian-12"], actor="ann", now=NOW)
        service.remove(session, "tools", actor="ann", now=NOW)
    with pytest.raises(NotFound):
        shop.row()


def test_a_change_that_machines_see_makes_a_new_index(shop: Shop) -> None:
    shop.create()
    shop.work()
    shop.edit(built.deb(shop.folder, "alpha"))
    with shop.database.write() as session:
        service.change(session, "tools", {"suite": "noble", "components": ["main", "extra"]}, actor="ann", now=NOW)
    assert shop.work().outcome == "done"
    assert not (shop.tree() / "dists/stable/InRelease").exists()
    assert (shop.tree() / "dists/noble/extra/binary-amd64/Packages").read_bytes() == b""
    assert b"Package: alpha" in (shop.tree() / "dists/noble/main/binary-amd64/Packages").read_bytes()


def test_a_new_key_signs_every_repository_and_a_retired_one_none(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in (("tools", "deb"), ("rpms", "rpm")):
        shop.create(name, kind=kind)
        shop.work()
    with shop.database.read() as session:
        old = signing.in_use(session)[0]
    monkeypatch.setitem(signing.add.__kwdefaults__ or {}, "algorithm", "rsa2048")  # made in a moment
    with shop.database.write() as session:
        keys.add(session, actor="ann", now=NOW)
    done = shop.work()
    assert (done.outcome, done.result["repositories"], len(done.result["keys"])) == ("done", 2, 2), done.problem
    with shop.database.read() as session:
        new = signing.in_use(session)[1]
    signed = (shop.tree("rpms") / "repodata/repomd.xml").read_bytes()
    for key in (old, new):
        signature = (shop.tree("rpms") / "repodata/repomd.xml.asc").read_bytes()
        openpgp.verify_detached(signed, signature, key.public.encode(), name="repomd.xml")
    with shop.database.write() as session:
        keys.retire(session, old.fingerprint, actor="ann", now=NOW)
    assert shop.work().outcome == "done"
    release = (shop.tree() / "dists/stable/InRelease").read_bytes()
    assert openpgp.verified_clear(release, new.public.encode(), name="InRelease")
    with pytest.raises(Invalid, match="not in the keyring"):
        openpgp.verified_clear(release, old.public.encode(), name="InRelease")


def test_who_did_what_is_on_record(shop: Shop) -> None:
    shop.create()
    shop.work()
    shop.edit(built.deb(shop.folder, "alpha"))
    with shop.database.read() as session:
        rows = session.scalars(
            select(AuditRow).where(AuditRow.subject == "repository:tools").order_by(AuditRow.id)
        ).all()
    assert [row.action for row in rows] == ["repository.created", "repository.published", "repository.published"]
    assert rows[2].actor == "ann"
    assert rows[2].details["added"] == ["alpha 1.0 all"]


def test_packages_with_one_file_name_get_folders_of_their_own(shop: Shop) -> None:
    """The epoch is not in a file's name."""
    shop.create()
    shop.work()
    assert shop.edit(built.deb(shop.folder, "alpha", "1.0")).outcome == "done"
    assert shop.edit(built.deb(shop.folder, "alpha", "1:1.0")).outcome == "done"
    found, _ = service.packages(shop.store, shop.row(), limit=9)
    assert len({each.path for each in found}) == 2
    assert all((shop.tree() / each.path).is_file() for each in found)
    assert (shop.tree() / found[0].path).samefile(shop.store.path(found[0].sha256))
    assert shop.packages() == ["alpha 1.0", "alpha 1:1.0"]
