"""`pxeapp doctor`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence

import click
from sqlalchemy.exc import SQLAlchemyError

from pxeapp import config
from pxeapp.db import Database, now
from pxeapp.doctor import dhcp, host, wire, work
from pxeapp.doctor.finding import Check, Finding, Patient, fail, ok, warn
from pxeapp.errors import ConfigError, PxeError

# In the order in which one thing rests on another: the first failure is the one to mend first.
CHECKS: tuple[Check, ...] = (
    Check("data directory", host.data_directory),
    Check("disk space", host.disk_space),
    Check("database", host.database),
    Check("key file", host.key_file, rows=True),
    Check("queue", host.queue),
    Check("boot programs", host.boot_programs),
    Check("operators' HTTP", wire.operators_http),
    Check("node URL", wire.node_url),
    Check("TFTP", wire.tftp),
    Check("nginx", dhcp.nginx),
    Check("mirror", wire.mirror),
    Check("dnsmasq", dhcp.dnsmasq),
    Check("networks", dhcp.networks, rows=True),
    Check("other DHCP servers", dhcp.rivals, rows=True),
    Check("observing only", work.observing, rows=True),
    Check("worker", work.worker, rows=True),
    Check("BMC worker", work.bmc_worker, rows=True),
    Check("BMC addresses", work.bmc_addresses, rows=True),
    Check("releases", work.release_files, rows=True),
)
MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(*, as_json: bool) -> None:
    """Look at everything the appliance needs, say what is wrong and what to do; exits with 1 if something failed."""
    found = list(examine())
    if as_json:
        items = [
            {"check": name, "status": each.status, "sentence": each.sentence, "try": each.attempt}
            for name, each in found
        ]
        click.echo(json.dumps({"items": items, "next": None}, indent=2))
    else:
        for name, each in found:
            click.echo(f"{MARKS[each.status]}  {name + ':':<20} {each.sentence}")
            if each.attempt:
                click.echo(f"{'':27}{each.attempt}")
        click.echo(_summary([each for _, each in found]))
    sys.exit(1 if any(each.status == "fail" for _, each in found) else 0)


def examine() -> Iterator[tuple[str, Finding]]:
    """Every check's name and finding, in order; without readable settings there is nothing else to look at."""
    try:
        settings = config.load()
    except ConfigError as error:
        yield "settings", fail(error.sentence, error.hint or "Correct it; docs/operations.md lists every setting.")
        return
    yield "settings", ok(f"They can be read; the data lies in {settings.data_dir}.")
    if not settings.data_dir.is_dir():
        # Opening the database would make the folder, and nobody may have meant it to be there.
        yield "data directory", host.data_directory(Patient(settings, Database("sqlite://"), now()))
        return
    database = Database(settings.database_url)
    patient = Patient(settings, database, now())
    sound = False
    for check in CHECKS:
        if check.rows and not sound:
            yield check.name, warn("Not looked at, because the database cannot be read.", "Mend the database first.")
            continue
        finding = _looked(check, patient)
        sound = sound or (check.name == "database" and finding.status == "ok")
        yield check.name, finding
    database.dispose()


def _looked(check: Check, patient: Patient) -> Finding:
    try:
        return check.look(patient)
    except PxeError as error:
        return fail(error.sentence, error.hint)
    except SQLAlchemyError as error:
        # Never the statement with its parameters: they may hold what nobody should read.
        said = str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]
        return fail(f"The database cannot be used: {said}.", "Check PXEAPP_DATABASE_URL and whether it is up.")
    except OSError as error:
        return fail(f"It could not be looked at: {error}.", "Run the doctor as the user that runs pxeapp.")


def _summary(found: Sequence[Finding]) -> str:
    failures = sum(each.status == "fail" for each in found)
    warnings = sum(each.status == "warn" for each in found)
    if not failures and not warnings:
        return "All is well."
    said = f"Failed: {failures}. Warnings: {warnings}."
    return f"{said} Begin with the first that failed." if failures else said
