"""The database: engine, sessions and the declarative base.

SQLite is the default and PostgreSQL the scaled-out choice. On SQLite a write transaction
starts with BEGIN IMMEDIATE: a transaction that reads first and writes later is refused at
once with "database is locked" when another writer came between, whatever the busy timeout.

A database that cannot be used (locked for too long, full, read-only, damaged, gone) raises DatabaseUnavailable with
its sentence, wherever it happens; the next transaction tries anew, so that work goes on once it is mended.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Connection, DateTime, Engine, MetaData, create_engine, event, func, select
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.url import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

from pxeapp.errors import ConfigError
from pxeapp.storage import faults, postgresql
from pxeapp.storage.sqlite import SqliteFile, as_sentences

BUSY_TIMEOUT_S = 30.0
# More than webserver.py has threads: opening a database takes a while.
POOL: dict[str, Any] = {"pool_size": 20, "max_overflow": 20}
KNOWN_URLS = "Use postgresql://USER:PASSWORD@HOST/NAME or sqlite:////PATH/FILE, or leave it out for SQLite."


class Timestamp(TypeDecorator[dt.datetime]):
    """A moment in UTC; a naive datetime is refused rather than guessed."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """Store UTC without an offset on SQLite, which keeps none."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A datetime without a time zone cannot be stored; pass UTC.")
        value = value.astimezone(dt.UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002
        """Give every moment back as aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


class Base(DeclarativeBase):
    """Declarative base with stable constraint names, so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads this as a class attribute
        dt.datetime: Timestamp(),
        dict[str, Any]: JSON,
        list[Any]: JSON,
        list[str]: JSON,
        dict[str, str]: JSON,
    }


def now() -> dt.datetime:
    """The present moment in UTC; called at the edges only, time is passed in below them."""
    return dt.datetime.now(dt.UTC)


class Database:
    """Sessions over one engine: `read()` for queries, `write()` for one all-or-nothing change."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.file = _sqlite_file(url)  # None where it is no file
        self.engine = _engine(url, self.file)
        self.before_each: Callable[[], None] | None = None  # asked before each transaction, see appliance/clock.py

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for queries; what it changes is thrown away, what it loaded stays readable afterwards."""
        if self.before_each is not None:
            self.before_each()
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that commits at the end, or rolls back whole if the block raises."""
        if self.before_each is not None:
            self.before_each()
        with Session(self.engine, expire_on_commit=False) as session:
            session.connection(execution_options={"pxeapp_write": True})
            try:
                yield session
                session.commit()
            except BaseException:
                session.rollback()
                raise

    def translated(self, error: Exception) -> Exception:
        """What to raise for an error of the driver's own: what the database cannot help stays what it is."""
        driver = self.engine.dialect.loaded_dbapi
        if isinstance(error, driver.OperationalError | driver.InterfaceError) or type(error) is driver.DatabaseError:
            return faults.translated(error, self.file.path if self.file else None)
        return error

    def dispose(self) -> None:
        """Close every pooled connection; call before forking and at the end of a test."""
        self.engine.dispose()


def one_at_a_time(session: Session, what: str) -> None:
    """Until this write transaction ends nobody else passes here. On SQLite the write lock is held already."""
    one_at_a_time_on(session.connection(), what)


def one_at_a_time_on(connection: Connection, what: str) -> None:
    """The same on a connection."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(what))))


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError:
        # Never the URL itself: it holds a password.
        raise ConfigError("PXEAPP_DATABASE_URL is not a database URL.", hint=KNOWN_URLS) from None


def _sqlite_file(url: str) -> SqliteFile | None:
    parsed = _parsed(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return SqliteFile(Path(parsed.database).absolute())


def _engine(url: str, file: SqliteFile | None) -> Engine:
    parsed = _parsed(url)
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        engine = _postgresql(parsed)
    elif backend == "sqlite":
        engine = _sqlite(parsed, file)
    else:
        raise ConfigError(f"PXEAPP_DATABASE_URL names {backend}, which we do not run on.", hint=KNOWN_URLS)

    @event.listens_for(engine, "handle_error")
    def _translate(context: Any) -> BaseException | None:
        wrapped = context.sqlalchemy_exception
        if context.is_pre_ping:
            return None  # the pool only asks whether a connection still lives, and makes a new one itself
        if isinstance(wrapped, OperationalError | InterfaceError) or type(wrapped) is DatabaseError:
            return faults.translated(context.original_exception, file.path if file else None)
        return None  # a constraint, a value, a statement: not the database's fault

    return engine


def _sqlite(url: URL, file: SqliteFile | None) -> Engine:
    if file is None:
        engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False})
    else:
        file.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        engine = create_engine(url, creator=lambda: file.connect(timeout_s=BUSY_TIMEOUT_S), **POOL)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # the driver must not open transactions of its own; _begin does
        with as_sentences(file.path if file else None):
            for pragma in (
                "journal_mode=WAL",
                "synchronous=FULL",
                "foreign_keys=ON",
                f"busy_timeout={int(BUSY_TIMEOUT_S * 1000)}",
            ):
                connection.execute(f"PRAGMA {pragma}")
        if file is not None:
            record.info["file"] = file.identity()

    @event.listens_for(engine, "checkout")
    def _same_file(_connection: Any, record: Any, _proxy: Any) -> None:
        """What is written to a file that was moved away or replaced is lost: open the one that is there now."""
        if file is not None and record.info.get("file") != file.identity():
            raise DisconnectionError

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        write = connection.get_execution_options().get("pxeapp_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _postgresql(url: URL) -> Engine:
    if url.drivername == "postgresql":  # as everybody writes it; SQLAlchemy would look for the older driver
        url = url.set(drivername="postgresql+psycopg")
    try:
        return create_engine(url, pool_pre_ping=True, connect_args=postgresql.patience(url), **POOL)
    except (ImportError, ArgumentError):
        raise ConfigError(
            f"The driver for PXEAPP_DATABASE_URL ({url.drivername}) is not installed.",
            hint="Write postgresql://... and install pxeapp[scale-out].",
        ) from None
