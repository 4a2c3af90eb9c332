"""Fixtures that every capability's tests share."""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from hypothesis import settings

import pxeapp
from pxeapp.accounts import passwords
from pxeapp.db import Base, Database
from tests import postgres, sharing

# A run is the same every time, so that a red one is somebody's change. To search for more: HYPOTHESIS_PROFILE=explore
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

# At full cost each password takes longer than most tests; accounts/test_service.py looks at what it costs a guesser.
passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

pytest_xdist_make_scheduler = sharing.pytest_xdist_make_scheduler
pytest_collection_modifyitems = sharing.pytest_collection_modifyitems
postgresql_server = postgres.postgresql_server
postgresql_url = postgres.postgresql_url
postgresql_database = postgres.postgresql_database
_postgresql_with_tables = postgres._postgresql_with_tables


def load_models() -> None:
    """Import every module that declares tables, so that `Base.metadata` is whole."""
    importlib.import_module("pxeapp.audit")
    importlib.import_module("pxeapp.versions")
    for package in pkgutil.iter_modules(pxeapp.__path__):
        if package.ispkg:
            name = f"pxeapp.{package.name}.models"
            if importlib.util.find_spec(name):
                importlib.import_module(name)


@pytest.fixture(scope="session")
def _with_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with every table and no row: copying it takes a hundredth of making them."""
    load_models()
    path = tmp_path_factory.mktemp("tables") / "empty.db"
    database = Database(f"sqlite:///{path}")
    Base.metadata.create_all(database.engine)
    database.dispose()
    return path


@pytest.fixture
def database(_with_tables: Path, tmp_path: Path) -> Iterator[Database]:
    """A fresh SQLite database with every table."""
    shutil.copyfile(_with_tables, tmp_path / "test.db")
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    yield database
    database.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def any_database(request: pytest.FixtureRequest) -> Database:
    """A database with every table and no row, once on SQLite and once on a real PostgreSQL."""
    load_models()
    name = "database" if request.param == "sqlite" else "postgresql_database"
    found: Database = request.getfixturevalue(name)
    return found
