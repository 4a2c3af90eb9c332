"""Statements that a boot storm runs thousands of times a minute, past the ORM: compiled once, run by the driver.

They are Core statements: SQLAlchemy writes the SQL for either database and its types convert the values, but once and
not at each call, which is where nine tenths of the time of a small query go. For the few hot paths that are measured
(`make bench`); everything else stays with sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Executable
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Session

from pxeapp.db import Database

Values = Mapping[str, Any]
Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Form:
    """A statement in one database's SQL: its own constants, and what is to be converted on the way in and out."""

    sql: str
    constants: dict[str, Any]
    into: tuple[tuple[str, Convert], ...]
    out: tuple[tuple[int, Convert], ...]


class Prepared:
    """One statement, whose values are named by `bindparam`s; made once, at import."""

    def __init__(self, statement: Executable) -> None:
        self._statement: Any = statement
        self._forms: dict[str, _Form] = {}

    def form(self, dialect: Dialect) -> _Form:
        """The statement as this database reads it."""
        found = self._forms.get(dialect.name)
        if found is None:
            found = self._forms[dialect.name] = self._compile(dialect)
        return found

    def _compile(self, dialect: Dialect) -> _Form:
        # Both drivers take a dictionary; SQLite's is asked for by name, its default would be by position.
        named = sqlite.dialect(paramstyle="named") if dialect.name == "sqlite" else dialect
        compiled = self._statement.compile(dialect=named)
        binds = {name: bind for bind, name in compiled.bind_names.items()}
        into = {name: found for name, bind in binds.items() if (found := _converter(bind.type, named, "bind"))}
        constants = {name: bind.effective_value for name, bind in binds.items() if not bind.required}
        columns = getattr(self._statement, "selected_columns", ())
        out = ((place, _converter(column.type, named, "result")) for place, column in enumerate(columns))
        return _Form(
            sql=str(compiled),
            constants={name: into[name](value) if name in into else value for name, value in constants.items()},
            into=tuple((name, convert) for name, convert in into.items() if name not in constants),
            out=tuple((place, convert) for place, convert in out if convert is not None),
        )


def _converter(kind: Any, dialect: Dialect, way: str) -> Convert | None:
    found = kind.dialect_impl(dialect)
    convert: Convert | None = found.bind_processor(dialect) if way == "bind" else found.result_processor(dialect, None)
    return convert


class Runner:
    """Runs prepared statements on one of the driver's cursors, inside whatever transaction it is in."""

    def __init__(self, database: Database, cursor: Any) -> None:
        self._dialect = database.engine.dialect
        self._cursor = cursor
        self._in_our_words = _InOurWords(database)

    def all(self, statement: Prepared, **values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        form = statement.form(self._dialect)
        with self._in_our_words:
            self._cursor.execute(form.sql, _converted(form, values))
            rows: list[tuple[Any, ...]] = self._cursor.fetchall()
        return [_read(form, row) for row in rows] if form.out else rows

    def first(self, statement: Prepared, **values: Any) -> tuple[Any, ...] | None:
        """The first row, or None."""
        rows = self.all(statement, **values)
        return rows[0] if rows else None

    def each(self, statement: Prepared, values: Sequence[Values]) -> int:
        """Run a change once for each of these; how many rows they changed together."""
        form = statement.form(self._dialect)
        with self._in_our_words:
            self._cursor.executemany(form.sql, [_converted(form, one) for one in values])
        changed: int = self._cursor.rowcount
        return changed

    @contextmanager
    def all_or_none(self) -> Iterator[None]:
        """What runs inside is undone if it raises, and the transaction goes on."""
        self._plain("SAVEPOINT part")
        try:
            yield
        except BaseException:
            self._plain("ROLLBACK TO SAVEPOINT part")
            raise
        finally:
            self._plain("RELEASE SAVEPOINT part")

    def _plain(self, sql: str) -> None:
        with self._in_our_words:
            self._cursor.execute(sql)


class _InOurWords:
    """The driver's complaints, as SQLAlchemy's come out of db.py. A class, since it is entered at each statement."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._complaint: type[Exception] = database.engine.dialect.loaded_dbapi.DatabaseError

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, self._complaint):
            raise self._database.translated(error) from error


def _converted(form: _Form, values: Values) -> dict[str, Any]:
    ready = {**form.constants, **values}
    for name, convert in form.into:
        ready[name] = convert(ready[name])
    return ready


def _read(form: _Form, row: Sequence[Any]) -> tuple[Any, ...]:
    columns = list(row)
    for place, convert in form.out:
        columns[place] = convert(columns[place])
    return tuple(columns)


def reading(database: Database) -> AbstractContextManager[Runner]:
    """A runner that sees the database as it is at one moment (PostgreSQL: as it is at each query)."""
    return _Transaction(database, "BEGIN", commits=False)


def writing(database: Database) -> AbstractContextManager[Runner]:
    """A runner whose changes are committed at the end, or undone if the block raises."""
    return _Transaction(database, "BEGIN IMMEDIATE", commits=True)


class _Transaction:
    """On a connection of the pool's. A class, since it is entered for each request."""

    __slots__ = ("_begin", "_commits", "_connection", "_database", "_in_our_words")

    def __init__(self, database: Database, begin: str, *, commits: bool) -> None:
        self._database = database
        self._begin = begin
        self._commits = commits

    def __enter__(self) -> Runner:
        database = self._database
        if database.before_each is not None:
            database.before_each()
        in_our_words = self._in_our_words = _InOurWords(database)
        with in_our_words:
            self._connection: Any = database.engine.raw_connection()
        try:
            cursor = self._connection.cursor()
            if database.engine.dialect.name == "sqlite":  # PostgreSQL's driver begins by itself
                with in_our_words:
                    cursor.execute(self._begin)
        except BaseException:
            self._connection.close()
            raise
        return Runner(database, cursor)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            if kind is None and self._commits:
                with self._in_our_words:
                    self._connection.commit()
        finally:
            self._connection.close()  # gives it back to the pool, which undoes what was not committed


def within(database: Database, session: Session) -> Runner:
    """A runner inside a session's transaction. What the session's objects have not flushed yet, it does not see."""
    return Runner(database, session.connection().connection.cursor())
