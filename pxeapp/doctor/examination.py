"""The table of checks, and how they are carried out: side by side, each in bounded time, told in the table's order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

from sqlalchemy.exc import SQLAlchemyError

from pxeapp import config
from pxeapp.db import Database, now
from pxeapp.doctor import (
    bmcs,
    databases,
    dhcp,
    host,
    ports,
    repositories,
    rivals,
    sites,
    system,
    variables,
    wire,
    work,
)
from pxeapp.doctor.finding import Check, Finding, Patient, fail, ok, warn
from pxeapp.errors import ConfigError, PxeError

DATABASE = "database"
# In the order in which one thing rests on another: the first failure is the one to mend first.
CHECKS: tuple[Check, ...] = (
    Check("programs", system.programs, bare=True),
    Check("clock", system.clock, bare=True),
    Check("KVM", system.kvm, bare=True),
    Check("data directory", host.data_directory, bare=True),
    Check("disk space", host.disk_space),
    Check(DATABASE, host.database),
    Check("database file", databases.integrity, late="sqlite3's quick_check may take its time; run it at night."),
    Check("write-ahead log", databases.write_ahead_log),
    Check("times in the rows", databases.clock, rows=True),
    Check("key file", host.key_file, rows=True),
    Check("queue", host.queue),
    Check("ports", ports.ports, bare=True),
    Check("boot programs", host.boot_programs, bare=True),
    Check("site's templates", sites.templates, late="Look at one by one: pxeapp render MACHINE"),
    Check("variables", variables.unknown, rows=True),
    Check("secrets", variables.secrets, rows=True),
    Check("operators' HTTP", wire.operators_http),
    Check("node URL", wire.node_url),
    Check("TFTP", wire.tftp),
    Check("nginx", dhcp.nginx),
    Check("mirror", wire.mirror),
    Check("dnsmasq", dhcp.dnsmasq),
    Check("networks", dhcp.networks, rows=True),
    Check("addresses", dhcp.shared, rows=True),
    Check("other DHCP servers", dhcp.rivals, rows=True),
    Check("DHCP on the wire", rivals.on_the_wire),
    Check("observing only", work.observing, rows=True),
    Check("worker", work.worker, rows=True),
    Check("BMC worker", work.bmc_worker, rows=True),
    Check("BMC addresses", work.bmc_addresses, rows=True),
    Check("BMCs", bmcs.answers, rows=True),
    Check("repositories", repositories.repositories, rows=True),
    Check("releases", work.release_files, rows=True, late="Many files are to be hashed: pxeapp release verify"),
)


def examine(checks: Sequence[Check] = CHECKS) -> Iterator[tuple[str, Finding]]:
    """Every check's name and finding, in order; without readable settings there is nothing else to look at."""
    try:
        settings = config.load()
    except ConfigError as error:
        yield "settings", fail(error.sentence, error.hint or "Correct it; docs/operations.md lists every setting.")
        return
    yield "settings", ok(f"They can be read; the data lies in {settings.data_dir}.")
    # Opening the database would make the folder, and nobody may have meant it to be there.
    there = settings.data_dir.is_dir()
    patient = Patient(settings, Database(settings.database_url if there else "sqlite://"), now())
    looks = {check.name: _Look(check, patient) for check in checks if there or check.bare}
    first = looks.get(DATABASE)
    if first is not None:
        first.start()
    for name, look in looks.items():
        if name != DATABASE and not look.check.rows:
            look.start()
    sound = first is not None and first.finding().status == "ok"
    for look in looks.values():
        if look.check.rows and sound:
            look.start()
    for name, look in looks.items():
        if look.check.rows and not sound:
            yield name, warn("Not looked at, because the database cannot be read.", "Mend the database first.")
        else:
            yield name, look.finding()
    if not any(look.is_alive() for look in looks.values()):
        patient.database.dispose()


class _Look(threading.Thread):
    """One check in a thread of its own; one that hangs is left behind, and ends with the process."""

    def __init__(self, check: Check, patient: Patient) -> None:
        super().__init__(name=check.name, daemon=True)
        self.check = check
        self._patient = patient
        self._found: Finding | None = None
        self._began = 0.0

    def start(self) -> None:
        """Begin to look."""
        self._began = time.monotonic()
        super().start()

    def run(self) -> None:
        """Called in the thread."""
        self._found = looked(self.check, self._patient)

    def finding(self) -> Finding:
        """What was found, or that it took too long."""
        self.join(max(0.0, self._began + self.check.within_s - time.monotonic()))
        if self._found is not None:
            return self._found
        said = f"It could not be looked at within {self.check.within_s:g} s."
        return (
            warn(said, self.check.late) if self.check.late else fail(said, "Something hangs: a disk, a mount, a name.")
        )


def looked(check: Check, patient: Patient) -> Finding:
    """The finding; whatever a check runs into is one, too."""
    try:
        return check.look(patient)
    except PxeError as error:
        return fail(error.sentence, error.hint or "Read the log of pxeapp serve.")
    except SQLAlchemyError as error:
        # Never the statement with its parameters: they may hold what nobody should read.
        said = str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]
        return fail(f"The database cannot be used: {said}.", "Check PXEAPP_DATABASE_URL and whether it is up.")
    except OSError as error:
        return fail(f"It could not be looked at: {error}.", "Run the doctor as the user that runs pxeapp.")
    except Exception as error:  # noqa: BLE001 - one check that we wrote badly must not hide what the others found
        return fail(
            f"The check itself failed: {type(error).__name__}: {error}.", "Please report this; the rest counts."
        )
