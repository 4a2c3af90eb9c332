"""The steps with all that they work with, for the process that runs them."""

from __future__ import annotations

from pxeapp.clouds.directory import Clouds
from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.nodes.here import JobsHere
from pxeapp.nodes.reach import Nodes
from pxeapp.provisioning.checking import Checker
from pxeapp.provisioning.queue import Queue
from pxeapp.rollouts import course
from pxeapp.rollouts.gates.table import gates
from pxeapp.rollouts.port import Step
from pxeapp.rollouts.runner import Hands
from pxeapp.rollouts.steps.before import Before
from pxeapp.rollouts.steps.drain import Drain, Undrain
from pxeapp.rollouts.steps.patch import Patch
from pxeapp.rollouts.steps.playbook import Playbooks
from pxeapp.rollouts.steps.reboot import Reboot
from pxeapp.rollouts.steps.reinstall import Reinstall
from pxeapp.rollouts.steps.run import Run
from pxeapp.rollouts.steps.swift import Swift
from pxeapp.rollouts.steps.verify import Soak, Verify


def compose(settings: Settings, database: Database, checker: Checker, queue: Queue) -> Hands:
    """One for each process. Nothing is connected to before a step needs it."""
    nodes = Nodes(database, checker.tools.vault)
    clouds = Clouds(database, checker.tools.vault, settings.rollout_networks)
    asked = gates(database, nodes, clouds, settings.rollout_networks)
    swift = Swift(database, nodes)
    playbooks = Playbooks(nodes, JobsHere(settings.data_dir / "rollouts"), settings.playbooks_dir)
    steps: dict[str, Step] = {
        course.DRAIN: Drain(Before(database, nodes), clouds, nodes, swift),
        course.PATCH: Patch(nodes, playbooks, settings.node_url),
        course.RUN: Run(nodes),
        course.REINSTALL: Reinstall(database, checker, queue.hint),
        course.REBOOT: Reboot(database, nodes),
        course.VERIFY: Verify(asked),
        course.UNDRAIN: Undrain(clouds, nodes, swift),
        course.SOAK: Soak(asked),
    }
    return Hands(database, steps)
