"""`pxeapp software-worker`: imports, mirrors, snapshots, bundles."""

from __future__ import annotations

import click

from pxeapp import config
from pxeapp.processes import beating, log_to_stdout, stop_event
from pxeapp.software import kinds
from pxeapp.software.tasks.runner import Runner


@click.command("software-worker")
@beating.option
def software_worker(beat: int | None) -> None:
    """Long work on software: media, mirrors, repositories, bundles; apart, so that it keeps nobody waiting."""
    log_to_stdout()
    stop = stop_event()
    beating.Heart(beat).begin(stop)  # beside its tasks, each of which may take hours
    Runner(config.load(), kinds.loaders(), kinds.regular()).run(stop)
