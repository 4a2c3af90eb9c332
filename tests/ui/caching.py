"""A cache as its pages show it: an upstream with numbers and a problem, one that is offline, one that nobody asked."""

from __future__ import annotations

from pxeapp.config import Settings
from pxeapp.db import Database, now
from pxeapp.software.cache import service
from pxeapp.software.cache.models import UpstreamDay, UpstreamMissing, UpstreamState
from pxeapp.software.tasks.models import SoftwareTask

NAMES = ("rocky", "epel", "quiet")
SET = {"root": "9/BaseOS", "kind": "yum", "checked": 1e9, "changed": 1e9, "dated": 1e9, "indexes": 3, "bytes": 4096}


def fill(database: Database, settings: Settings) -> None:
    """Put them into a database."""
    with database.write() as session:
        for name in NAMES:
            said = {"name": name, "url": f"http://dl.example.org/pub/{name}", "kind": "yum"}
            service.create(session, settings, said, actor="user:ops", now=now())
        said = {"aliases": ["dl.example.net/rocky"], "keep_packages": False}
        service.change(session, settings, "rocky", said, actor="user:ops", now=now())
        service.change(session, settings, "epel", {"offline": True}, actor="user:ops", now=now())
        problem = "No answer from dl.example.org."
        sets = [{**SET, "problem": problem}, {**SET, "root": "9/CRB", "checked": 0, "problem": ""}]
        session.add(UpstreamState(name="rocky", problem=problem, sets=sets, updated_at=now()))
        counted = {"requests": 9, "hits": 4, "misses": 2, "index_hits": 2, "index_misses": 1, "absent": 1, "errors": 1}
        sizes = {"bytes_from_cache": 4096, "bytes_from_upstream": 2048}
        session.add(UpstreamDay(name="rocky", day=f"{now():%Y-%m-%d}", **counted, **sizes))
        for name, why in zip(NAMES, ("absent", "offline", "upstream"), strict=True):
            session.add(UpstreamMissing(name=name, path=f"9/{why}.rpm", why=why, count=3, last_at=now()))
        asked = {"kind": "cache.seed", "subject": "rocky", "options": {}, "requested_by": "user:ops"}
        moments = {"requested_at": now(), "started_at": now()}
        session.add(SoftwareTask(**asked, **moments, finished_at=now(), outcome="failed", problem=problem))
        session.add(SoftwareTask(**asked, **moments, says="Fetching", done=1, total=3, unit="packages"))
