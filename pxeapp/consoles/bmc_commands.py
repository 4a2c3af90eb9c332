"""`pxeapp machine sensors|sel|boot-device|console`: a machine's BMC from the command line."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Callable
from typing import Any, cast

import click
from sqlalchemy import select as sql_select

from pxeapp import audit, config
from pxeapp.bmc import orders, wire
from pxeapp.bmc.models import BmcOrder, SelEntry
from pxeapp.bmc.readings import DEVICES, Device, Override
from pxeapp.commandline import ACTOR, as_json, print_table
from pxeapp.config import Settings
from pxeapp.consoles import door, service
from pxeapp.db import Database, now
from pxeapp.errors import Conflict, NotFound, Unavailable
from pxeapp.machines import selectors
from pxeapp.machines.models import Machine
from pxeapp.provisioning import lifecycle
from pxeapp.vault import open_vault

LOOK_EVERY_S = 0.25
LEAVE = b"~."  # at the beginning of a line, as ssh has it
refresh = click.option("--refresh", is_flag=True, help="Have the BMC asked first, and wait for it.")


@click.command("sensors")
@click.argument("key")
@refresh
@as_json
def sensors(key: str, refresh: bool, as_json: bool) -> None:
    """Show a machine's sensors as they were read last."""
    database, row = _machine(key)
    if refresh:
        _ask(database, row, "sensors")
    with database.read() as session:
        read = orders.fact(session, row.id, "sensors")
    value = {"seen_at": read.seen_at.isoformat() if read else None, **(read.value if read else {"items": []})}
    if as_json:
        click.echo(json.dumps(value, indent=2))
        return
    if read is None:
        raise NotFound(f"{row.name}'s sensors were never read.", hint="Add --refresh.")
    rows = []
    for each in value["items"]:
        shown = "" if each["value"] is None else f"{each['value']:g}"
        rows.append((each["name"], shown, each["unit"], each["health"], ", ".join(each["states"])))
    print_table(("SENSOR", "VALUE", "UNIT", "HEALTH", "STATES"), rows)
    click.echo(f"Seen {read.seen_at:%Y-%m-%d %H:%M:%S} UTC.")


@click.command("sel")
@click.argument("key")
@refresh
@click.option("--clear", is_flag=True, help="Empty the BMC's own log, after all of it is stored here.")
@click.option("--limit", type=click.IntRange(1, 5000), default=100, show_default=True, help="The last so many.")
@as_json
def sel(key: str, refresh: bool, clear: bool, limit: int, as_json: bool) -> None:
    """Show a machine's system event log, or clear it."""
    database, row = _machine(key)
    if refresh and not clear:
        _ask(database, row, "sel")
    if clear:
        _ask(database, row, "clear_sel")
    with database.read() as session:
        newest = sql_select(SelEntry).where(SelEntry.machine_id == row.id).order_by(SelEntry.id.desc()).limit(limit)
        found = [wire.entry(each) for each in reversed(session.scalars(newest).all())]
    if as_json:
        click.echo(json.dumps({"items": found, "next": None}, indent=2))
        return
    rows = []
    for entry in found:
        event = entry["event"] if entry["asserted"] else f"{entry['event']} (over)"
        rows.append((str(entry["at"] or "clock not set")[:19], entry["severity"], entry["sensor"], event))
    print_table(("AT", "SEVERITY", "SENSOR", "EVENT"), rows)


@click.command("boot-device")
@click.argument("key")
@click.argument("device", type=click.Choice(DEVICES), required=False)
@click.option("--persistent", is_flag=True, help="For every boot, not only the next.")
@click.option("--uefi", is_flag=True, help="Boot it the UEFI way.")
@refresh
@as_json
def boot_device(
    key: str, device: str | None, persistent: bool, uefi: bool, refresh: bool, as_json: bool
) -> None:  # fmt: skip
    """Show a machine's boot device, or set it."""
    database, row = _machine(key)
    if device is not None:
        with database.write() as session:
            locked = selectors.get(session, key, lock=True)
            lifecycle.refuse_power_order(locked)
            wanted = Override(cast(Device, device), persistent, uefi)
            number = orders.request_override(
                session, machine_id=row.id, wanted=wanted, requested_by=ACTOR, now=now()
            ).id
        _wait(database, row, number)
    elif refresh:
        _ask(database, row, "boot_device")
    with database.read() as session:
        read = orders.fact(session, row.id, "boot_device")
    value: dict[str, Any] = {"seen_at": read.seen_at.isoformat() if read else None, **(read.value if read else {})}
    if as_json:
        click.echo(json.dumps(value, indent=2))
    elif read is None:
        raise NotFound(f"{row.name}'s boot device was never read.", hint="Add --refresh.")
    else:
        how = "for every boot" if value["persistent"] else "for the next boot"
        said = value["device"] or "unknown: its BMC cannot tell"
        click.echo(f"{row.name}: {said}{f' ({how})' if value['device'] not in (None, 'none') else ''}.")


@click.command("console")
@click.argument("key")
@click.option("--direct", is_flag=True, help="Past the appliance, by ipmitool: where no `pxeapp console` runs.")
def console(key: str, direct: bool) -> None:
    """Open a machine's serial console; `~.` at the beginning of a line closes it."""
    settings = config.load()
    database, row = _machine(key)
    if direct:
        _by_ipmitool(settings, row)
    with database.write() as session:
        service.opened(session, row, actor=ACTOR, now=now())
    with door.attach(settings, row.id) as sock:
        click.echo(f"{row.name}'s console; `~.` closes it. Others who look see what you type.", err=True)
        _terminal(sock, typing=lambda: service.note_typing(database, row, actor=ACTOR, now=now()))


COMMANDS = (sensors, sel, boot_device, console)


def _machine(key: str) -> tuple[Database, Machine]:
    database = Database(config.load().database_url)
    with database.read() as session:
        row = selectors.get(session, key)
        _ = row.bmc
        return database, row


def _ask(database: Database, row: Machine, kind: orders.Kind) -> None:
    with database.write() as session:
        number = orders.request(session, machine_id=row.id, kind=kind, requested_by=ACTOR, now=now()).id
    _wait(database, row, number)


def _wait(database: Database, row: Machine, number: int) -> None:
    """Until the worker has carried it out; an order has a deadline of its own."""
    deadline = time.monotonic() + orders.TIME.total_seconds() + 30
    while time.monotonic() < deadline:
        with database.read() as session:
            order: BmcOrder = orders.get(session, row.id, number)
            if order.outcome == "failed":
                raise Conflict(order.error)
            if order.outcome is not None:
                return
        time.sleep(LOOK_EVERY_S)
    raise Unavailable("The BMC worker did not take the order.", hint="Check that `pxeapp bmc-worker` runs.")


def _terminal(sock: socket.socket, *, typing: Callable[[], None]) -> None:
    """Pass keys and words on until somebody leaves; a terminal is as it was afterwards. `typing`: before keys leave."""
    keys, is_tty = sys.stdin.fileno(), sys.stdin.isatty()
    before = termios.tcgetattr(keys) if is_tty else None
    sock.settimeout(None)
    at_start, tilde = True, False
    try:
        if is_tty:
            tty.setraw(keys)
        watched = [keys, sock.fileno()]
        while True:
            ready, _, _ = select.select(watched, [], [])
            if sock.fileno() in ready:
                data = sock.recv(65536)
                if not data:
                    return
                _write(data)
            if keys in ready:
                typed = os.read(keys, 1024)
                if not typed:
                    watched.remove(keys)  # a pipe that ended: go on listening
                    continue
                if tilde and typed == LEAVE[1:]:
                    return
                if at_start and typed == LEAVE[:1]:
                    tilde = True
                    continue
                typing()
                sock.sendall((LEAVE[:1] if tilde else b"") + typed)
                tilde, at_start = False, typed.endswith((b"\r", b"\n"))
    finally:
        if before is not None:
            termios.tcsetattr(keys, termios.TCSADRAIN, before)
            click.echo("", err=True)


def _write(data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


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
