"""A vault with a small signing key in the database, so that no test waits for a large one."""

from __future__ import annotations

import datetime as dt
import shutil

import pytest

from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.software.repositories import openpgp, signing
from pxeapp.software.repositories.openpgp import KeyPair
from pxeapp.software.repositories.signing import Signer, SigningKey
from pxeapp.vault import Vault, open_vault

NOW = dt.datetime(2024, 11, 26, 12, 0, tzinfo=dt.UTC)  # in the past of every machine that runs this: apt looks


@pytest.fixture(scope="session")
def key_pair() -> KeyPair:
    """One key for all tests."""
    if shutil.which("gpg") is None or shutil.which("gpgv") is None:
        pytest.skip("needs gpg and gpgv (apt install gpg gpg-agent gpgv)")
    return openpgp.make("pxeapp repositories in tests", algorithm="rsa2048")


@pytest.fixture
def vault(settings: Settings) -> Vault:
    """The appliance's vault."""
    return open_vault(settings.data_dir)


@pytest.fixture
def signer(database: Database, vault: Vault, key_pair: KeyPair) -> Signer:
    """Signs with the key, which the database has from now on."""
    with database.write() as session:
        session.add(
            SigningKey(
                fingerprint=key_pair.fingerprint, owner="pxeapp repositories in tests", public=key_pair.public,
                private=vault.encrypt(key_pair.private), created_at=NOW,
            )
        )  # fmt: skip
    return signing.signer(database, vault, actor="test", now=NOW)
