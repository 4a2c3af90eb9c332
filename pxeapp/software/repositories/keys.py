"""Changing keys: one more is made, or one was retired, and then every repository is signed anew by those of now."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pxeapp.errors import NotFound
from pxeapp.software.repositories import publishing, signing
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.repositories.publishing import Generation
from pxeapp.software.repositories.signing import SigningKey
from pxeapp.software.snapshots.publishing import sign_anew
from pxeapp.software.tasks import service as tasks
from pxeapp.software.tasks.models import SoftwareTask
from pxeapp.software.tasks.running import Run
from pxeapp.vault import open_vault

SIGN, SUBJECT = "repository.sign", "keys"
WAIT_S = 1800.0  # for a repository that is being published just now
PAUSE_S = 1.0


def add(session: Session, *, owner: str = "", actor: str, now: dt.datetime) -> SoftwareTask:
    """Order a new key beside those in use."""
    signing.refuse_too_many(session)
    beside = [row.fingerprint for row in signing.in_use(session)]
    return tasks.order(session, SIGN, SUBJECT, {"beside": beside, "owner": owner}, actor=actor, now=now)


def retire(session: Session, fingerprint: str, *, actor: str, now: dt.datetime) -> SoftwareTask:
    """Have a key sign nothing from now on, and order that everything is signed without it."""
    row = signing.retire(session, fingerprint, actor=actor, now=now)
    return tasks.order(session, SIGN, SUBJECT, {"without": row.fingerprint}, actor=actor, now=now)


def sign(run: Run) -> dict[str, Any]:
    """The task: make the key that was ordered, and sign what is served anew."""
    vault = open_vault(run.settings.data_dir)
    beside = run.options.get("beside")
    with run.database.read() as session:
        there = [row.fingerprint for row in signing.in_use(session)]
    if beside is not None and not set(there) - set(beside):
        run.says("Making a key")
        signing.add(run.database, vault, actor=run.actor, now=run.now(), owner=run.options.get("owner", ""))
    signing.keep_served(run.settings, run.database)
    with run.database.read() as session:
        names = session.scalars(
            select(SoftwareRepository.name).where(SoftwareRepository.manifest != "").order_by(SoftwareRepository.name)
        ).all()
        keys = [row.fingerprint for row in signing.in_use(session)]
    signed = 0
    for number, name in enumerate(names):
        run.progress(number, len(names), says=f"Signing {name}")
        signed += _sign(run, name)
    return {"keys": keys, "repositories": signed, "snapshots": sign_anew(run)}


def _sign(run: Run, name: str) -> bool:
    """One repository; what is being published just now is waited for, since it may have read the keys of before."""

    def tell(says: str) -> None:
        if says:
            run.says(f"{name}: {says}")
        else:
            run.progress(0)

    give_up = time.monotonic() + WAIT_S
    while True:
        how = Generation(run.actor, run.now(), again=True, tell=tell)
        try:
            publishing.publish(run.settings, run.database, run.store, name, None, how)
        except NotFound:  # it was removed meanwhile
            return False
        except publishing.Busy:
            if time.monotonic() > give_up:
                raise
            run.progress(0)
            time.sleep(PAUSE_S)
        else:
            return True


def wire(row: SigningKey) -> dict[str, Any]:
    """A key as the API shows it: its public half alone."""
    return {
        "fingerprint": row.fingerprint,
        "owner": row.owner,
        "public": row.public,
        "created_at": row.created_at.isoformat(),
        "retired_at": row.retired_at.isoformat() if row.retired_at else None,
    }
