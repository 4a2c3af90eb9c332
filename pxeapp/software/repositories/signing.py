"""The appliance's own signing keys: what is published is signed with all that are in use, and machines are given them.

The private half lies in the database, sealed with the vault's key file: every process has it, a backup holds it, and
whoever has only the database has not. The public halves are served at /repo/keys/pxeapp.asc, and as pxeapp.gpg for
installers, whose gpgv reads no armour.

To change keys, `add` one beside the old one: from then on everything is signed by both, and both are handed out. When
every machine has been given the new one, `retire` the old one.
"""

from __future__ import annotations

import datetime as dt
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import String, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from pxeapp import armour, audit
from pxeapp.config import Settings
from pxeapp.db import Base, Database, one_at_a_time
from pxeapp.errors import Conflict, NotFound
from pxeapp.placing import place
from pxeapp.software.repositories import openpgp
from pxeapp.vault import Vault

FOLDER = "keys"  # below /repo/
ARMOURED, BINARY = "pxeapp.asc", "pxeapp.gpg"
MOST = 4  # in use at once
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9.-]")


class SigningKey(Base):
    """A key of ours. It signs until it is retired; then it only tells by whom older files were signed."""

    __tablename__ = "software_signing_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True)
    owner: Mapped[str] = mapped_column(String(200))
    public: Mapped[str] = mapped_column(Text)  # armoured
    private: Mapped[str] = mapped_column(Text)  # armoured, encrypted by the vault
    created_at: Mapped[dt.datetime]
    retired_at: Mapped[dt.datetime | None]


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs as this appliance does: with every key that is in use."""

    fingerprints: tuple[str, ...]
    public: str  # armoured, all of them
    _private: tuple[str, ...] = field(repr=False)

    def sign_clear(self, text: bytes) -> bytes:
        """The text with its signature around it."""
        return openpgp.sign_clear(text, self._private)

    def sign_detached(self, data: bytes) -> bytes:
        """The armoured signature alone."""
        return openpgp.sign_detached(data, self._private)


def signer(database: Database, vault: Vault, *, actor: str, now: dt.datetime) -> Signer:
    """Signs with the keys in use; the first one is made here when there is none, which takes a few seconds."""
    with database.read() as session:
        rows = in_use(session)
    if not rows:
        rows = [add(database, vault, actor=actor, now=now, only_first=True)]
    return Signer(
        tuple(row.fingerprint for row in rows),
        _together(rows),
        tuple(vault.decrypt(row.private) for row in rows),
    )


def in_use(session: Session) -> Sequence[SigningKey]:
    """The keys that sign, the oldest first."""
    return session.scalars(select(SigningKey).where(SigningKey.retired_at.is_(None)).order_by(SigningKey.id)).all()


def every(session: Session) -> Sequence[SigningKey]:
    """Retired ones too, the oldest first."""
    return session.scalars(select(SigningKey).order_by(SigningKey.id)).all()


def add(
    database: Database,
    vault: Vault,
    *,
    actor: str,
    now: dt.datetime,
    owner: str = "",
    algorithm: str = openpgp.ALGORITHM,
    only_first: bool = False,
) -> SigningKey:
    """Make a key and have it sign beside those in use. With `only_first`, where another process was quicker its key."""
    owner = owner or f"pxeapp repositories on {_NOT_IN_A_NAME.sub('-', socket.gethostname())}"
    with database.read() as session:
        refuse_too_many(session)
    pair = openpgp.make(owner, algorithm=algorithm)
    with database.write() as session:
        one_at_a_time(session, "software_signing_keys")
        if only_first and (there := in_use(session)):
            return there[0]
        refuse_too_many(session)
        row = SigningKey(
            fingerprint=pair.fingerprint, owner=owner, public=pair.public, private=vault.encrypt(pair.private),
            created_at=now,
        )  # fmt: skip
        session.add(row)
        audit.record(session, at=now, actor=actor, action="repository.key_added", subject=f"key {pair.fingerprint}")
    return row


def retire(session: Session, fingerprint: str, *, actor: str, now: dt.datetime) -> SigningKey:
    """Have a key sign nothing more; raises Conflict for the last one, since nothing may be published unsigned."""
    one_at_a_time(session, "software_signing_keys")
    rows = in_use(session)
    wanted = fingerprint.replace(" ", "").upper()
    row = next((each for each in rows if len(wanted) >= 16 and each.fingerprint.endswith(wanted)), None)
    if row is None:
        raise NotFound(f"No key {fingerprint[:100]!r} is in use.", hint="See: pxeapp repository key list")
    if len(rows) == 1:
        raise Conflict(f"{row.fingerprint} is the only key.", hint="First add the next one: pxeapp repository key add")
    row.retired_at = now
    audit.record(session, at=now, actor=actor, action="repository.key_retired", subject=f"key {row.fingerprint}")
    return row


def keep_served(settings: Settings, database: Database, _now: dt.datetime | None = None) -> None:
    """Have the keys in use lie where machines fetch them; costs nothing when they do. After a restore they do not."""
    with database.read() as session:
        rows = in_use(session)
    if not rows:
        return
    text = _together(rows).encode()
    folder = settings.data_dir / "repo" / FOLDER
    for name, content in ((ARMOURED, text), (BINARY, openpgp.binary_keyring(text))):
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            place(path, content)


def armoured(settings: Settings) -> str:
    """The served keys in one block, for what takes a key as text; "" where there is none yet."""
    path = settings.data_dir / "repo" / FOLDER / BINARY
    return armour.block(path.read_bytes()) if path.is_file() else ""


def _together(rows: Sequence[SigningKey]) -> str:
    return "\n".join(f"{row.public.strip()}\n" for row in rows)


def refuse_too_many(session: Session) -> None:
    """Raises Conflict where one more key would be more than machines need."""
    if len(in_use(session)) >= MOST:
        raise Conflict(
            f"{MOST} keys are in use already.", hint="Retire the oldest: pxeapp repository key retire FINGERPRINT"
        )
