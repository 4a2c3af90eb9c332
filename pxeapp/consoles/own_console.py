"""`pxeapp machine console` on the appliance itself: straight to the process that holds the console, or past it."""

from __future__ import annotations

import shutil
import subprocess
import sys

import click

from pxeapp import audit, config
from pxeapp.client.terminal import terminal
from pxeapp.commandline import ACTOR
from pxeapp.config import Settings
from pxeapp.consoles import door, service
from pxeapp.db import Database, now
from pxeapp.errors import Conflict, NotFound
from pxeapp.machines import selectors
from pxeapp.machines.models import Machine
from pxeapp.vault import open_vault


def open_it(key: str, *, direct: bool) -> None:
    """Until somebody leaves it."""
    settings = config.load()
    database = Database(settings.database_url)
    with database.read() as session:
        row = selectors.get(session, key)
        _ = row.bmc
    if direct:
        _by_ipmitool(settings, row)
    with database.write() as session:
        service.opened(session, row, actor=ACTOR, now=now())
    with door.attach(settings, row.id) as sock:
        click.echo(f"{row.name}'s console; `~.` closes it. Others who look see what you type.", err=True)
        terminal(sock, typing=lambda: service.note_typing(database, row, actor=ACTOR, now=now()))


def _by_ipmitool(settings: Settings, row: Machine) -> None:
    bmc = row.bmc
    if bmc is None or bmc.type != "ipmi":
        raise Conflict(f"{row.name} has no IPMI BMC, so there is no serial console to open from here.")
    if shutil.which("ipmitool") is None:
        raise NotFound("ipmitool is not installed.", hint="Install the package ipmitool.")
    database = Database(settings.database_url)
    with database.write() as session:
        audit.record(session, at=now(), actor=ACTOR, action="console.open", subject=row.name, direct=True)
    vault = open_vault(settings.data_dir)
    password = vault.decrypt(bmc.password_encrypted) if bmc.password_encrypted else ""
    argv = ["ipmitool", "-I", "lanplus", "-H", bmc.address, "-p", str(bmc.port), "-U", bmc.username, "-E"]
    if bmc.cipher_suite is not None:
        argv += ["-C", str(bmc.cipher_suite)]
    # The password goes by the environment (-E): a process list shows arguments to everybody.
    sys.exit(subprocess.call([*argv, "sol", "activate"], env={"IPMI_PASSWORD": password, "TERM": "xterm"}))
