"""Users, their sessions and API tokens. A password is kept as an Argon2 hash, whatever is random as a SHA-256."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from pxeapp.db import Base


class User(Base):
    """Somebody who may sign in. A disabled account is refused on its next request."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    role: Mapped[str] = mapped_column(String(10))  # viewer, operator, admin
    # Of which machines this account sees and works with: those of these projects; None: all, [] none.
    projects: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    password_hash: Mapped[str] = mapped_column(Text, default="")
    must_change_password: Mapped[bool] = mapped_column(default=False)  # it is a one-time password
    password_until: Mapped[dt.datetime | None]  # after which a one-time password is none any more
    disabled: Mapped[bool] = mapped_column(default=False)
    session_epoch: Mapped[int] = mapped_column(default=1)  # counts up to end every session of this user
    created_at: Mapped[dt.datetime]
    last_sign_in_at: Mapped[dt.datetime | None]
    source: Mapped[str] = mapped_column(String(10), default="local")  # local, oidc
    external_id: Mapped[str | None] = mapped_column(String(512), unique=True)  # issuer and subject of an OpenID account
    totp_secret: Mapped[str] = mapped_column(Text, default="")  # encrypted; empty: no second factor
    totp_pending: Mapped[str] = mapped_column(Text, default="")  # encrypted; shown, but no code of it was entered yet
    totp_step: Mapped[int] = mapped_column(BigInteger, default=0)  # of the last code: none is taken twice
    recovery_hashes: Mapped[list[str]] = mapped_column(default=list)  # of the codes that are left


class ApiToken(Base):
    """A bearer token; it never exceeds the role of the user it belongs to."""

    __tablename__ = "api_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(10))
    projects: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))  # None: those of its user, or all
    read_only: Mapped[bool] = mapped_column(default=False)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime | None]
    last_used_at: Mapped[dt.datetime | None]
    revoked: Mapped[bool] = mapped_column(default=False)


class UserSession(Base):
    """A browser that is signed in. The cookie holds a random secret, this row its hash: what is ended here is over."""

    __tablename__ = "user_sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    # The one before a rotation, for requests that were under way: they do not sign anybody out.
    previous_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    previous_until: Mapped[dt.datetime | None]
    epoch: Mapped[int]
    role: Mapped[str] = mapped_column(
        String(10)
    )  # as it was when the secret was made; another one makes another secret
    method: Mapped[str] = mapped_column(String(10), default="password")  # password, oidc
    second_factor_due: Mapped[bool] = mapped_column(default=False)  # the password was right, the code is awaited
    created_at: Mapped[dt.datetime]
    seen_at: Mapped[dt.datetime] = mapped_column(index=True)
    address: Mapped[str] = mapped_column(String(45), default="")
    browser: Mapped[str] = mapped_column(String(200), default="")


class SignInTry(Base):
    """A try to sign in, counted for every process of the appliance; see throttle.py."""

    __tablename__ = "sign_in_tries"
    __table_args__ = (Index(None, "key", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(120))
    at: Mapped[dt.datetime] = mapped_column(index=True)


class UserChoice(Base):
    """How somebody wants a page to be: the columns of a list, the order of its rows."""

    __tablename__ = "user_choices"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(40), primary_key=True)  # machines.columns
    value: Mapped[Any] = mapped_column(JSON)
