"""The `tftp` process: which name means what for which machine, and transfers as evidence."""

from __future__ import annotations

import datetime as dt
import gc
import logging
import threading
from collections.abc import Callable, Sequence

from sqlalchemy import select

from pxeapp.boot import grub, ipxe, loaders, localdisk, names, pxelinux
from pxeapp.boot.names import Name
from pxeapp.boot.tftp import Absent, Data, File, Reply, Request, TftpServer, Transfer
from pxeapp.db import now
from pxeapp.errors import NotFound, Unavailable
from pxeapp.prepared import reading
from pxeapp.provisioning import evidence, netboot
from pxeapp.provisioning.models import Deployment
from pxeapp.provisioning.netboot import Asking, Provisioner
from pxeapp.provisioning.steps import Step
from pxeapp.software import media

WAKE_S = 0.5
log = logging.getLogger(__name__)


class TftpProcess:
    """Serves loaders, the static first scripts, and each machine's own script; nothing secret but to its claimant."""

    def __init__(self, provisioner: Provisioner, *, beat: Callable[[], None] = lambda: None) -> None:
        """`beat` is called by the loop about once a second."""
        self._provisioner = provisioner
        settings = provisioner.settings
        self._programs = localdisk.programs(
            settings.run_dir, provisioner.templates, settings.data_dir / loaders.IMPORTED
        )
        self._static = {
            "first-grub": Data(grub.render_first(provisioner.templates).encode()),
            "pxelinux-default": Data(pxelinux.render_default(provisioner.templates).encode()),
            "autoexec": Data(ipxe.render_autoexec(provisioner.templates, node_url=settings.node_url).encode()),
        }
        self._server = TftpServer(
            (settings.tftp_listen.host, settings.tftp_listen.port),
            settings.tftp_networks,
            self.resolve,
            resolve_fast=self.resolve_fast,
            on_events=self.finished,
            beat=beat,
        )

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop`."""
        waker = threading.Thread(target=self._wake_at, args=(stop,), daemon=True)
        waker.start()
        # What lives by now lives to the end. Looking through it for garbage again and again took a third of the time.
        gc.collect()
        gc.freeze()
        self._server.run(stop)

    def resolve_fast(self, request: Request) -> Reply | None:
        """What needs no look-up: loaders from the system's packages, and scripts that are the same for everybody."""
        name = names.parse(request.filename)
        if name is None:
            return Absent("no such name")
        if name.kind == "loader":
            path = self._programs.get(name.value)
            return File(path) if path else Absent(f"{name.value} is not installed; see: pxeapp boot-programs")
        return self._static.get(name.kind)

    def resolve(self, request: Request) -> Reply:
        """What depends on the machine: its boot script, or a kernel that its loader fetches by TFTP."""
        name = names.parse(request.filename)
        if name is None:
            return Absent("no such name")
        try:
            return self._resolve(name, request)
        except Unavailable as error:  # what is wrong with the database is not the machines' business
            log.warning("%s did not get %s: %s", request.client[0], request.filename, error)
            return Absent("it cannot be looked up now")

    def _resolve(self, name: Name, request: Request) -> Reply:
        if name.kind == "media":
            return self._media(name)
        loader = "GRUB" if name.kind == "grub" else "PXELINUX"
        asking = Asking(mac=name.value, address=request.client[0], loader=loader)
        render = grub.render if name.kind == "grub" else pxelinux.render
        templates = self._provisioner.templates
        text = netboot.script(self._provisioner, asking, name.kind, lambda boot: render(boot, templates), now=now())
        return Data(text.encode())

    def finished(self, transfers: Sequence[Transfer]) -> None:
        """Transfers ended: a loader or a kernel that arrived whole is evidence."""
        arrived = []
        for transfer in transfers:
            log.info("%s: %s %s in %.2f s", transfer.client, transfer.filename, transfer.outcome, transfer.seconds)
            name = names.parse(transfer.filename)
            if transfer.done and name is not None and name.kind in ("loader", "media"):
                arrived.append((transfer, name))
        try:
            if arrived and self._anything_runs():
                for transfer, name in arrived:
                    self._weigh(transfer, name)
        except Unavailable as error:
            log.warning("What %s transfers prove was not kept: %s", len(arrived), error)

    def _anything_runs(self) -> bool:
        """Asked once for all of them: a rack that boots from its disks needs a thousand loaders and no evidence."""
        with self._provisioner.database.read() as session:
            return session.scalar(select(Deployment.id).where(Deployment.outcome.is_(None)).limit(1)) is not None

    def _weigh(self, transfer: Transfer, name: Name) -> None:
        with reading(self._provisioner.database) as run:
            step = Step.NBP_FETCHED if name.kind == "loader" else Step.KERNEL_FETCHED
            if not evidence.expecting(run, transfer.client, step):
                return
        try:
            self._keep(transfer, name, now())
        except Unavailable:
            raise
        except Exception:  # the others' evidence is worth as much
            log.exception("What %s fetched could not be kept", transfer.client)

    def _keep(self, transfer: Transfer, name: Name, at: dt.datetime) -> None:
        with self._provisioner.database.write() as session:
            if name.kind == "media":
                _, release, file = name.value.split("/", 2)
                evidence.kernel_fetched(session, transfer.client, release, file, source="tftp", now=at)
                return
            evidence.reached(
                session,
                evidence.running_at(session, transfer.client),
                Step.NBP_FETCHED,
                now=at,
                source="tftp",
                message=f"{transfer.client} fetched {name.value} ({transfer.size} bytes in {transfer.seconds:.1f} s).",
                address=transfer.client,
                file=name.value,
            )

    def _media(self, name: Name) -> Reply:
        _, _, rest = name.value.partition("/")
        release, _, file = rest.partition("/")
        settings = self._provisioner.settings
        try:
            with reading(self._provisioner.database) as run:
                return File(media.locate(run, settings, release, file), settings.media_dir)
        except NotFound as error:
            return Absent(error.sentence)

    def _wake_at(self, stop: threading.Event) -> None:
        while not stop.wait(WAKE_S):
            pass
        self._server.wake()
