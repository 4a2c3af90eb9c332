"""`pxeapp worker`: the reconciler of deployments, jobs, webhooks and rollouts."""

from __future__ import annotations

import logging
import threading

import click
from sqlalchemy import select

from pxeapp import config
from pxeapp.config import Settings
from pxeapp.errors import Unavailable
from pxeapp.processes import beating, log_to_stdout
from pxeapp.provisioning.worker import Worker
from pxeapp.rollouts.models import Rollout

LOOK_S = 1.0
log = logging.getLogger(__name__)


@click.command()
@beating.option
def worker(beat: int | None) -> None:
    """The reconciler: takes deployments and rollouts from step to step."""
    log_to_stdout()
    settings = config.load()
    Worker(
        settings,
        [
            lambda worker: Rollouts(settings, worker),
            lambda worker: beating.Heart(beat, lambda: worker.ticks),
        ],
    ).run()


class Rollouts:
    """The runner of rollouts, once there is one: ssh and OpenStack are a second of CPU and forty megabytes to load."""

    def __init__(self, settings: Settings, worker: Worker) -> None:
        self._settings = settings
        self._worker = worker

    def run(self, stop: threading.Event) -> None:
        """Until told to stop."""
        while not stop.is_set():
            try:
                if self._there_is_one():
                    self._runner_runs(stop)
            except Unavailable as error:  # a full or a locked database: the rows are there when it is mended
                log.warning("Rollouts wait: %s", error)
            except Exception:  # a thread that dies silently would strand every rollout
                log.exception("A look for rollouts failed")
            stop.wait(LOOK_S)

    def _there_is_one(self) -> bool:
        with self._worker.database.read() as session:
            return session.scalar(select(Rollout.id).where(Rollout.finished_at.is_(None)).limit(1)) is not None

    def _runner_runs(self, stop: threading.Event) -> None:
        from pxeapp.rollouts import hands  # cost: see above
        from pxeapp.rollouts.runner import Runner

        own = self._worker
        Runner(hands.compose(self._settings, own.database, own.checker, own.queue), own.owner).run(stop)
