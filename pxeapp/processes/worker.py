"""`pxeapp worker`: the reconciler."""

from __future__ import annotations

import click

from pxeapp import config
from pxeapp.processes import log_to_stdout
from pxeapp.provisioning.worker import Worker


@click.command()
def worker() -> None:
    """The reconciler: takes deployments from step to step."""
    log_to_stdout()
    Worker(config.load()).run()
