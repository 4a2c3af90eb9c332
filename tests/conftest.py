"""Fixtures that every capability's tests share."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import pxeapp
from pxeapp.db import Base, Database
from tests.postgres import postgresql_server, postgresql_url

__all__ = ["postgresql_server", "postgresql_url"]  # fixtures


def load_models() -> None:
    """Import every module that declares tables, so that `Base.metadata` is whole."""
    importlib.import_module("pxeapp.audit")
    for package in pkgutil.iter_modules(pxeapp.__path__):
        if package.ispkg:
            name = f"pxeapp.{package.name}.models"
            if importlib.util.find_spec(name):
                importlib.import_module(name)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A fresh SQLite database with every table."""
    load_models()
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    Base.metadata.create_all(database.engine)
    yield database
    database.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A fresh database with every table, once on SQLite and once on a real PostgreSQL."""
    load_models()
    url = (
        f"sqlite:///{tmp_path / 'test.db'}" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    )
    database = Database(url)
    Base.metadata.create_all(database.engine)
    yield database
    database.dispose()
