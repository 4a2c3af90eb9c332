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
