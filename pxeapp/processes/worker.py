"""`pxeapp worker`: the reconciler of deployments, jobs, webhooks and rollouts."""

from __future__ import annotations

import click

from pxeapp import config
from pxeapp.processes import log_to_stdout
from pxeapp.provisioning.worker import Worker
from pxeapp.rollouts import hands
from pxeapp.rollouts.runner import Runner


@click.command()
def worker() -> None:
    """The reconciler: takes deployments and rollouts from step to step."""
    log_to_stdout()
    settings = config.load()

    def rollouts(worker: Worker) -> Runner:
        return Runner(hands.compose(settings, worker.database, worker.checker, worker.queue), worker.owner)

    Worker(settings, [rollouts]).run()
