"""The HTTP that machines talk to, and nothing else: no operator route is reachable on this listener.

Behind the front (nginx) it listens on a unix socket and takes the client's address from the front's
X-Real-IP; directly on a port it believes only the connection.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from pxeapp.boot import firmware, grub, ipxe, loaders, localdisk
from pxeapp.boot.spec import Boot
from pxeapp.db import now
from pxeapp.errors import FieldProblem, Invalid, NotFound
from pxeapp.machines import mac as mac_address
from pxeapp.nodes import keys
from pxeapp.prepared import reading
from pxeapp.provisioning import answering, callbacks, evidence, netboot, node_http, node_logs, tokens, webhook
from pxeapp.provisioning.callbacks import Report
from pxeapp.provisioning.netboot import Asking, Provisioner
from pxeapp.provisioning.node_http import Answer, Application, Reply, Request, Route, text
from pxeapp.provisioning.queue import Queue
from pxeapp.provisioning.steps import Step
from pxeapp.software import media

EVENT_LIMIT = 16 * 1024  # bytes; an event is a word and a log's tail
SAID_LIMIT = 100  # characters kept of each thing a firmware says about itself
TOO_LARGE = f"The body is too large: an event may have {EVENT_LIMIT} bytes, a log {node_logs.LIMIT}; send its tail.\n"
LOG_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
ACCEL_PREFIX = "/_media/"  # the front's internal location, see software/front/nginx.py
ACCEL = "X-Accel-Redirect"
OCTETS = "application/octet-stream"


def create_node_app(provisioner: Provisioner, queue: Queue, *, behind_front: bool) -> Application:
    """The machines' application: a handful of routes, each with a limit of its own."""
    settings = provisioner.settings
    imported = settings.data_dir / loaders.IMPORTED
    programs = localdisk.programs(settings.run_dir / "boot", provisioner.templates, imported)
    node = Node(provisioner, queue, programs, behind_front)
    return Application(list(node.routes()), behind_front=behind_front, too_large=TOO_LARGE)


@dataclass(frozen=True, slots=True)
class Node:
    """What answers machines, with what it needs for that."""

    provisioner: Provisioner
    queue: Queue
    boot_programs: Mapping[str, Path]
    behind_front: bool

    def routes(self) -> Iterable[Route]:
        """All there is."""
        yield Route("GET", "/healthz", self.healthz)
        yield Route("GET", "/boot/ipxe", self.boot_ipxe)
        yield Route("GET", "/boot/grub.cfg", self.boot_grub)
        yield Route("GET", f"/{firmware.HTTP_LOADERS}/<name>", self.boot_program)
        yield Route("GET", "/a/<token>/<kind>", self.answer)
        yield Route("POST", "/c/<token>/events", self.event)
        yield Route("PUT POST", "/c/<token>/logs/<name>", self.log)
        yield Route("GET", "/media/<release>/<file...>", self.media_file)

    def healthz(self, _request: Request) -> Answer:
        """Alive; says nothing else to machines."""
        return text("ok\n")

    def boot_ipxe(self, request: Request) -> Answer:
        """An iPXE script for any client: the deployment's when it is armed, else local boot."""
        asking = _asking(request, "iPXE")
        if asking is not None and "seen" in request.args:
            # Our own script tells us who its machine is (see boot/_identity.ipxe); it does not ask to be installed.
            netboot.record_sighting(self.provisioner, asking, now=now())
            return text("#!ipxe\n")
        anonymous = asking is not None and asking.serial is None
        url, templates = self.provisioner.settings.node_url, self.provisioner.templates
        return self._script(
            asking, "ipxe", lambda boot: ipxe.render(boot, templates, node_url=url, report_identity=anonymous)
        )

    def boot_grub(self, request: Request) -> Answer:
        """The same decision as a GRUB configuration."""
        url, templates = self.provisioner.settings.node_url, self.provisioner.templates
        return self._script(_asking(request, "GRUB"), "grub", lambda boot: grub.render(boot, templates, node_url=url))

    def _script(self, asking: Asking | None, kind: str, render: Callable[[Boot], str]) -> Answer:
        if asking is None:
            return text(render(netboot.FROM_DISK))
        return text(netboot.script(self.provisioner, asking, kind, render, now=now()))

    def boot_program(self, request: Request, name: str) -> Answer:
        """A boot program, for UEFI HTTP Boot and for iPXE's way to a local disk; the same for every machine."""
        path = self.boot_programs.get(name)
        if path is None:
            raise NotFound(f"There is no boot program {name}.")
        kind = "application/efi" if name.endswith(".efi") else OCTETS
        return node_http.file(path, request, kind)

    def answer(self, request: Request, token: str, kind: str) -> Answer:
        """The answer file of the attempt that the token belongs to; fetching it is evidence."""
        return text(answering.answer(self.provisioner, token, kind, address=request.address, now=now()))

    def event(self, request: Request, token: str) -> Answer:
        """One report from an installer or a freshly installed system; committed before it is answered.

        Ubuntu's installer reports in words of its own besides: see webhook.py.
        """
        database, commits = self.provisioner.database, self.provisioner.commits
        # No token, no answer, whatever the body is; it is not even read.
        seen = callbacks.standing(database, token, now=now())
        report = _report(request)
        received = callbacks.receive(database, commits, token, report, now=now(), seen=seen)
        if received.applied and received.look:
            self.queue.hint(received.deployment_id)
        return text("recorded\n" if received.applied else "known\n")

    def log(self, request: Request, token: str, name: str) -> Answer:
        """A log that the installer sends; a later one of the same name replaces it. Some installers know no PUT."""
        with reading(self.provisioner.database) as run:  # no token, no answer, whatever the body is
            tokens.check(run, token, tokens.CALLBACK, now=now())
        if not LOG_NAME.fullmatch(name):
            raise Invalid("The log's name is not one.", hint="Use a-z, 0-9, dot, dash and underscore.")
        content = request.body(node_logs.LIMIT)  # before the transaction: a slow client must not hold the write lock
        at = now()
        self.provisioner.commits.write(lambda session: node_logs.receive(session, token, name, content, now=at))
        return text("kept\n", HTTPStatus.CREATED)

    def media_file(self, request: Request, release: str, file: str) -> Answer:
        """A kernel, an initrd or another of a release's files: public, and evidence when a claimed machine asks."""
        provisioner, address = self.provisioner, request.address
        # Our own nginx sends files itself, and says so; another server in its place has them from here.
        sent_by_front = self.behind_front and request.environ.get("HTTP_X_SENDFILE_TYPE") == ACCEL
        if not media.FILE_PATH.fullmatch(f"{release}/{file}"):
            raise NotFound("There is no such file.")  # a NUL, for one, is nothing that a database can be asked for
        with reading(provisioner.database) as run:
            if sent_by_front:  # nginx follows no link out of its folder, see software/front/nginx.py
                media.refuse_unknown(run, release, file)
            else:
                path = media.locate(run, provisioner.settings, release, file)
            counts = evidence.expecting(run, address, Step.KERNEL_FETCHED)
        if counts:
            at = now()
            provisioner.commits.write(
                lambda session: evidence.kernel_fetched(session, address, release, file, source="http", now=at)
            )
        if sent_by_front:
            place = ((ACCEL, f"{ACCEL_PREFIX}{release}/{file}"),)
            return Reply(b"", content_type=OCTETS, headers=place)
        return node_http.file(path, request, OCTETS)


def _asking(request: Request, loader: str) -> Asking | None:
    """Who asks; None for a card whose address we cannot read: it boots from its disk as any stranger does."""
    said = request.args
    mac = mac_address.parse_or_none(said.get("mac", ""))
    if mac is None:
        return None
    # iPXE calls BIOS "pcbios i386"; the sightings speak the firmware table's names.
    client = firmware.of_ipxe(said.get("platform", ""), said.get("arch", ""))
    return Asking(
        mac=mac,
        address=request.address,
        loader=loader,
        arch=client.name if client else None,
        **{name: _said(said.get(name)) for name in ("serial", "uuid", "manufacturer", "product")},
    )


def _said(value: str | None) -> str | None:
    """What firmware says about itself, cut and without control characters; it lands on operators' screens."""
    if not value:
        return None
    return "".join(char for char in value if char.isprintable())[:SAID_LIMIT].strip() or None


def _report(request: Request) -> Report:
    try:
        body = json.loads(request.body(EVENT_LIMIT))
    except RecursionError:
        raise Invalid("The event is nested too deeply.") from None
    except ValueError:
        body = None
    if isinstance(body, dict) and webhook.is_one(body):
        return Report("progress", _printable(webhook.said(body)), request.address)
    if not isinstance(body, dict) or not isinstance(body.get("event"), str):
        fix = 'Send {"event": "started", "message": "..."}.'
        raise Invalid(
            "The event is not a JSON object with an event.", problems=[FieldProblem("event", "is missing.", fix)]
        )
    message = body.get("message", "")
    if not isinstance(message, str):
        raise Invalid("The message is not text.", problems=[FieldProblem("message", "must be a string.")])
    host_keys = body.get("host_keys") or []
    if not isinstance(host_keys, list):
        raise Invalid("The host keys are no list.", problems=[FieldProblem("host_keys", "must be a list of texts.")])
    known = keys.usable(host_keys)
    return Report(body["event"], _printable(message)[-callbacks.MESSAGE_LIMIT :], request.address, known)


def _printable(message: str) -> str:
    return "".join(char if char.isprintable() or char in "\n\t" else "�" for char in message)
