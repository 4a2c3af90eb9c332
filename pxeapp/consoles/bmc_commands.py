"""`pxeapp machine sensors|sel|boot-device|console`: a machine's BMC from the command line, here and from afar."""

from __future__ import annotations

import time
from typing import Any

import click

from pxeapp.bmc.readings import DEVICES
from pxeapp.client import Appliance, appliance, at, terminal
from pxeapp.commandline import as_json, moment, print_json, print_table
from pxeapp.errors import Conflict, NotFound, Unavailable

LOOK_EVERY_S = 0.25
PATIENCE_S = 150.0  # an order has a deadline of its own, which is earlier
refresh = click.option("--refresh", is_flag=True, help="Have the BMC asked first, and wait for it.")


@click.command("sensors")
@click.argument("key")
@refresh
@as_json
def sensors(key: str, refresh: bool, as_json: bool) -> None:
    """Show a machine's sensors as they were read last."""
    own = appliance()
    if refresh:
        _order(own, key, "sensors", "refresh")
    found = own.get(at("machines", key, "sensors"))
    if as_json:
        print_json(found)
        return
    if found["seen_at"] is None:
        raise NotFound(f"The sensors of {key} were never read.", hint="Add --refresh.")
    rows = []
    for each in found["items"]:
        shown = "" if each["value"] is None else f"{each['value']:g}"
        rows.append((each["name"], shown, each["unit"], each["health"], ", ".join(each["states"])))
    print_table(("SENSOR", "VALUE", "UNIT", "HEALTH", "STATES"), rows)
    click.echo(f"Seen {moment(found['seen_at'])} UTC.")


@click.command("sel")
@click.argument("key")
@refresh
@click.option("--clear", is_flag=True, help="Empty the BMC's own log, after all of it is stored here.")
@click.option("--limit", type=click.IntRange(1, 5000), default=100, show_default=True, help="The last so many.")
@as_json
def sel(key: str, refresh: bool, clear: bool, limit: int, as_json: bool) -> None:
    """Show a machine's system event log, or clear it."""
    own = appliance()
    if refresh or clear:
        _order(own, key, "sel", "clear" if clear else "refresh")
    found = list(own.each(at("machines", key, "sel")))[-limit:]
    if as_json:
        print_json({"items": found, "next": None})
        return
    rows = []
    for entry in found:
        event = entry["event"] if entry["asserted"] else f"{entry['event']} (over)"
        rows.append(
            (moment(entry["at"]) if entry["at"] else "clock not set", entry["severity"], entry["sensor"], event)
        )
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
    own = appliance()
    if device is not None:
        _order(own, key, "boot-device", said={"device": device, "persistent": persistent, "uefi": uefi})
    elif refresh:
        _order(own, key, "boot-device", "refresh")
    found = own.get(at("machines", key, "boot-device"))
    if as_json:
        print_json(found)
    elif found["seen_at"] is None:
        raise NotFound(f"The boot device of {key} was never read.", hint="Add --refresh.")
    else:
        how = "for every boot" if found["persistent"] else "for the next boot"
        shown = found["device"] or "unknown: its BMC cannot tell"
        name = own.get(at("machines", key))["name"]
        click.echo(f"{name}: {shown}{f' ({how})' if found['device'] not in (None, 'none') else ''}.")


@click.command("console")
@click.argument("key")
@click.option("--direct", is_flag=True, help="Past the appliance, by ipmitool: where no `pxeapp console` runs.")
def console(key: str, direct: bool) -> None:
    """Open a machine's serial console; `~.` at the beginning of a line closes it."""
    own = appliance()
    if not own.remote:
        from pxeapp.consoles import own_console  # cost: the only command of `machine` that needs the database here

        own_console.open_it(key, direct=direct)
        return
    if direct:
        raise Conflict("--direct is for the appliance itself, which reaches the BMCs.", hint="Leave it out.")
    terminal.console(own, key)


COMMANDS = (sensors, sel, boot_device, console)


def _order(own: Appliance, key: str, *what: str, said: dict[str, Any] | None = None) -> None:
    """Order something of the BMC, and wait until the worker has carried it out."""
    order = own.post(at("machines", key, *what), said)
    deadline = time.monotonic() + PATIENCE_S
    while order["outcome"] is None:
        if time.monotonic() > deadline:
            raise Unavailable("The BMC worker did not take the order.", hint="Check that `pxeapp bmc-worker` runs.")
        time.sleep(LOOK_EVERY_S)
        order = own.get(at("machines", key, "bmc", "orders", order["id"]))
    if order["outcome"] == "failed":
        raise Conflict(order["error"])
