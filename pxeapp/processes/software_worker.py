"""`pxeapp software-worker`: imports, mirrors, snapshots, bundles."""

from __future__ import annotations

import click

from pxeapp import config
from pxeapp.processes import log_to_stdout, stop_event
from pxeapp.software import kinds
from pxeapp.software.tasks.runner import Runner


@click.command("software-worker")
def software_worker() -> None:
    """Long work on software: media, mirrors, repositories, bundles; apart, so that it keeps nobody waiting."""
    log_to_stdout()
    Runner(config.load(), kinds.loaders(), kinds.regular()).run(stop_event())
