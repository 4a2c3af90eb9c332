"""A database of the present schema without its whole history for each test; that one is proved in tests/migrations."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from pxeapp import migrations
from pxeapp.db import Database, now


@cache
def _template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="pxeapp-migrated-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "empty.db"
    database = Database(f"sqlite:///{path}")
    migrations.upgrade(database)
    database.dispose()
    return path


def migrate(database: Database) -> None:
    """As `migrations.upgrade` leaves an empty database: a copy where that is a file, the upgrade itself elsewhere."""
    if database.file is None:
        migrations.upgrade(database)
        return
    path = database.file.path
    assert not path.exists(), "only an empty database can be made so"
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    shutil.copyfile(_template(), path)
    database.file.make_mark(now())
