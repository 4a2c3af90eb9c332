"""The appliance's keys: made once, sealed, served, changed without a gap."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from sqlalchemy import select

from pxeapp.audit import AuditRow
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.errors import Conflict, NotFound
from pxeapp.software.repositories import openpgp, signing
from pxeapp.software.repositories.openpgp import KeyPair
from pxeapp.software.repositories.signing import Signer, SigningKey
from pxeapp.vault import Vault
from tests.software.repositories.conftest import NOW

LATER = NOW + dt.timedelta(days=1)


def test_the_private_half_lies_in_the_database_only_sealed(
    signer: Signer, key_pair: KeyPair, database: Database, settings: Settings
) -> None:
    with database.read() as session:
        row = session.scalars(select(SigningKey)).one()
    assert "PRIVATE" not in row.private
    assert "PRIVATE" not in repr(signer)
    signing.keep_served(settings, database)
    for path in (settings.data_dir / "repo").rglob("*"):
        assert path.is_dir() or b"PRIVATE" not in path.read_bytes()
    assert signer.fingerprints == (key_pair.fingerprint,)


def test_no_key_is_made_before_one_is_needed_and_then_one_for_all(
    database: Database, vault: Vault, settings: Settings
) -> None:
    signing.keep_served(settings, database)
    assert not (settings.data_dir / "repo" / "keys").exists()
    row = signing.add(database, vault, actor="ann", now=NOW, algorithm="rsa2048", only_first=True)
    quicker = signing.add(database, vault, actor="bob", now=NOW, algorithm="rsa2048", only_first=True)
    assert quicker.fingerprint == row.fingerprint
    assert signing.signer(database, vault, actor="cid", now=NOW).fingerprints == (row.fingerprint,)
    with database.read() as session:
        said = session.scalars(select(AuditRow).where(AuditRow.action == "repository.key_added")).one()
    assert (said.actor, said.subject) == ("ann", f"key {row.fingerprint}")


def served(settings: Settings, name: str) -> Path:
    return settings.data_dir / "repo" / "keys" / name


def test_a_new_key_signs_beside_the_old_one_until_that_is_retired(
    signer: Signer, database: Database, vault: Vault, settings: Settings
) -> None:
    added = signing.add(database, vault, actor="ann", now=LATER, algorithm="rsa2048")
    signing.keep_served(settings, database)
    old, new = (key.encode() for key in (signer.public, added.public))
    both = signing.signer(database, vault, actor="ann", now=LATER).sign_clear(b"text\n")
    for key in (old, new, served(settings, "pxeapp.asc").read_bytes(), served(settings, "pxeapp.gpg").read_bytes()):
        assert openpgp.verified_clear(both, key, name="InRelease") == b"text\n"
    with database.write() as session:
        signing.retire(session, signer.fingerprints[0], actor="ann", now=LATER)
    signing.keep_served(settings, database)
    assert signing.signer(database, vault, actor="ann", now=LATER).fingerprints == (added.fingerprint,)
    assert served(settings, "pxeapp.gpg").read_bytes() == openpgp.binary_keyring(new)


def test_the_last_key_and_an_unknown_one_cannot_be_retired(signer: Signer, database: Database) -> None:
    with database.write() as session:
        with pytest.raises(Conflict, match="is the only key"):
            signing.retire(session, signer.fingerprints[0], actor="ann", now=LATER)
        for unknown in ("", "F" * 40, signer.fingerprints[0][-4:]):
            with pytest.raises(NotFound):
                signing.retire(session, unknown, actor="ann", now=LATER)


def test_a_restored_appliance_serves_its_keys_again(signer: Signer, database: Database, settings: Settings) -> None:
    signing.keep_served(settings, database)
    before = served(settings, "pxeapp.gpg").read_bytes()
    served(settings, "pxeapp.gpg").unlink()
    served(settings, "pxeapp.asc").write_text("cut")
    signing.keep_served(settings, database)
    assert served(settings, "pxeapp.gpg").read_bytes() == before
    assert served(settings, "pxeapp.asc").read_text() == signer.public
    assert served(settings, "pxeapp.asc").stat().st_mode & 0o777 == 0o644
