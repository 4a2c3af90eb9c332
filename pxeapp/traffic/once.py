"""Idempotency keys: a request that comes a second time, because its answer got lost, gets that answer again.

A key belongs to whoever sent it. Only answers of success are kept: a refusal has changed nothing, so the request may be
mended and sent with the same key.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import undefer

from pxeapp.db import Database
from pxeapp.errors import Conflict, FieldProblem, Invalid
from pxeapp.traffic.models import KeptAnswer
from pxeapp.vault import Vault

KEPT = dt.timedelta(hours=24)
PATIENCE = dt.timedelta(minutes=5)  # no request takes longer; then whoever worked on it is dead
MOST = 20_000  # answers; the oldest go
LONGEST = 1024 * 1024
LONGEST_KEY = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class InProgress(Conflict):
    """The same request is being worked on right now."""

    retryable = True


class Once:
    """The keys of all clients."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    def begin(self, who: str, key: str, request: bytes, *, now: dt.datetime) -> Answer | str:
        """The answer that was given before, or a ticket for the work. Raises Invalid or Conflict."""
        if not 0 < len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
            fix = f"Use 1 to {LONGEST_KEY} printable ASCII characters, such as a UUID."
            raise _bad("cannot be used.", fix)
        ticket = hashlib.sha256(f"{who}\0{key}".encode()).hexdigest()
        asked = hashlib.sha256(request).hexdigest()
        for _ in range(2):
            with self._database.read() as session:
                row = session.get(KeptAnswer, ticket, options=[undefer(KeptAnswer.body)])
            if row is not None and (row.status is not None or row.request != asked) and now - row.at >= KEPT:
                self.forget(ticket)
                row = None
            if row is not None:
                return self._again(row, asked, now)
            if self._claim(ticket, asked, now):
                return ticket
        raise InProgress("The same request is being worked on.", hint="Ask again in a moment.")

    def keep(self, ticket: str, answer: Answer) -> None:
        """It went well; this is the answer from now on."""
        body = self._vault.seal(answer.body[:LONGEST], belongs_to=ticket)
        with self._database.write() as session:
            session.execute(
                update(KeptAnswer)
                .where(KeptAnswer.key == ticket)
                .values(status=answer.status, headers=dict(answer.headers), body=body)
            )

    def forget(self, ticket: str) -> None:
        """It was refused, and nothing was changed."""
        with self._database.write() as session:
            session.execute(delete(KeptAnswer).where(KeptAnswer.key == ticket))

    def forget_old(self, *, now: dt.datetime) -> None:
        """Answers are kept for a day, and not more than so many."""
        with self._database.write() as session:
            session.execute(delete(KeptAnswer).where(KeptAnswer.at < now - KEPT))
            many = session.scalar(select(func.count()).select_from(KeptAnswer)) or 0
            if many > MOST:
                oldest = select(KeptAnswer.key).order_by(KeptAnswer.at).limit(many - MOST)
                session.execute(delete(KeptAnswer).where(KeptAnswer.key.in_(oldest)))

    def _again(self, row: KeptAnswer, asked: str, now: dt.datetime) -> Answer:
        if row.request != asked:
            raise _bad("came before with another request.", "Use a new key for each request.")
        if row.status is not None:
            body = self._vault.unseal(row.body or b"", belongs_to=row.key)
            return Answer(row.status, row.headers, body)
        if now - row.at < PATIENCE:
            raise InProgress("The same request is being worked on.", hint="Ask again in a moment.")
        raise Conflict(
            "The same request was begun before and broke off; whether it was done nobody wrote down.",
            hint="Look whether it was done; if it was not, send it with a new Idempotency-Key.",
        )

    def _claim(self, ticket: str, asked: str, now: dt.datetime) -> bool:
        try:
            with self._database.write() as session:
                session.execute(insert(KeptAnswer).values(key=ticket, request=asked, at=now, headers={}))
        except IntegrityError:  # of two at the same moment one is first
            return False
        return True


def _bad(problem: str, fix: str) -> Invalid:
    return Invalid("This Idempotency-Key cannot be used.", problems=[FieldProblem("Idempotency-Key", problem, fix)])
