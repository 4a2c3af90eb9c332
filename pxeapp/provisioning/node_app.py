"""The HTTP that machines talk to, and nothing else: no operator route is reachable on this listener.

Behind the front (nginx) it listens on a unix socket and takes the client's address from the front's
X-Real-IP; directly on a port it believes only the connection.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from http import HTTPStatus

from flask import Flask, Response, current_app, request, send_file
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from pxeapp.boot import firmware, grub, ipxe, localdisk
from pxeapp.boot.spec import Boot
from pxeapp.db import now
from pxeapp.errors import RETRY_AFTER_S, FieldProblem, Invalid, NotFound, PxeError
from pxeapp.machines import mac as mac_address
from pxeapp.prepared import reading
from pxeapp.provisioning import answering, callbacks, evidence, netboot, node_logs, tokens, webhook
from pxeapp.provisioning.callbacks import Report
from pxeapp.provisioning.netboot import Asking, Provisioner
from pxeapp.provisioning.queue import Queue
from pxeapp.provisioning.steps import Step
from pxeapp.software import media

EVENT_LIMIT = 16 * 1024  # bytes; an event is a word and a log's tail
SAID_LIMIT = 100  # characters kept of each thing a firmware says about itself
TOO_LARGE = f"The body is too large: an event may have {EVENT_LIMIT} bytes, a log {node_logs.LIMIT}; send its tail.\n"
LATER = "The appliance cannot record that right now; nothing was changed. Try again in a moment.\n"
log_lines = logging.getLogger(__name__)  # `log` is the route
LOG_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
ACCEL_PREFIX = "/_media/"  # the front's internal location, see software/mirror.py


def create_node_app(provisioner: Provisioner, queue: Queue, *, behind_front: bool) -> Flask:
    """The machines' application: a handful of routes, each with a limit of its own."""
    app = Flask("pxeapp.node", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = EVENT_LIMIT
    app.extensions["pxeapp"] = provisioner
    app.extensions["pxeapp_queue"] = queue
    app.config["BEHIND_FRONT"] = behind_front
    app.before_request(_refuse_encodings)
    app.register_error_handler(PxeError, _our_error)
    app.register_error_handler(HTTPException, _http_error)
    app.add_url_rule("/healthz", view_func=healthz)
    app.add_url_rule("/boot/ipxe", view_func=boot_ipxe)
    app.add_url_rule("/boot/grub.cfg", view_func=boot_grub)
    app.extensions["pxeapp_boot_programs"] = localdisk.programs(
        provisioner.settings.run_dir / "boot", provisioner.templates
    )
    app.add_url_rule(f"/{firmware.HTTP_LOADERS}/<name>", view_func=boot_program)
    app.add_url_rule("/a/<token>/<kind>", view_func=answer)
    app.add_url_rule("/c/<token>/events", view_func=event, methods=["POST"])
    app.add_url_rule("/c/<token>/logs/<name>", view_func=log, methods=["PUT", "POST"])
    app.add_url_rule("/media/<release>/<path:file>", view_func=media_file)
    return app


def healthz() -> Response:
    """Alive; says nothing else to machines."""
    return _text("ok\n")


def boot_ipxe() -> Response:
    """An iPXE script for any client: the deployment's when it is armed, else local boot."""
    asking = _asking("iPXE")
    provisioner = _provisioner()
    if asking is not None and "seen" in request.args:
        # Our own script tells us who its machine is (see boot/_identity.ipxe); it does not ask to be installed.
        netboot.record_sighting(provisioner, asking, now=now())
        return _text("#!ipxe\n")
    anonymous = asking is not None and asking.serial is None
    url, templates = provisioner.settings.node_url, provisioner.templates
    return _script(asking, "ipxe", lambda boot: ipxe.render(boot, templates, node_url=url, report_identity=anonymous))


def boot_grub() -> Response:
    """The same decision as a GRUB configuration."""
    asking = _asking("GRUB")
    provisioner = _provisioner()
    url, templates = provisioner.settings.node_url, provisioner.templates
    return _script(asking, "grub", lambda boot: grub.render(boot, templates, node_url=url))


def boot_program(name: str) -> Response:
    """A boot program, for UEFI HTTP Boot and for iPXE's way to a local disk; the same for every machine."""
    path = current_app.extensions["pxeapp_boot_programs"].get(name)
    if path is None:
        raise NotFound(f"There is no boot program {name}.")
    return send_file(
        path, mimetype="application/efi" if name.endswith(".efi") else "application/octet-stream", max_age=0
    )


def answer(token: str, kind: str) -> Response:
    """The answer file of the attempt that the token belongs to; fetching it is evidence."""
    return _text(answering.answer(_provisioner(), token, kind, address=_address(), now=now()))


def event(token: str) -> tuple[Response, int]:
    """One report from an installer or a freshly installed system; committed before it is answered.

    Ubuntu's installer reports in words of its own besides: see webhook.py.
    """
    provisioner = _provisioner()
    # No token, no answer, whatever the body is; it is not even read.
    seen = callbacks.standing(provisioner.database, token, now=now())
    report = _report()
    received = callbacks.receive(provisioner.database, provisioner.commits, token, report, now=now(), seen=seen)
    if received.applied and received.look:
        current_app.extensions["pxeapp_queue"].hint(received.deployment_id)
    return _text("recorded\n" if received.applied else "known\n"), HTTPStatus.OK


def log(token: str, name: str) -> tuple[Response, int]:
    """A log that the installer sends; a later one of the same name replaces it. Some installers know no PUT."""
    _check(token)
    if not LOG_NAME.fullmatch(name):
        raise Invalid("The log's name is not one.", hint="Use a-z, 0-9, dot, dash and underscore.")
    content = _body(node_logs.LIMIT)  # before the transaction: a slow client must not hold the write lock
    at = now()
    _provisioner().commits.write(lambda session: node_logs.receive(session, token, name, content, now=at))
    return _text("kept\n"), HTTPStatus.CREATED


def media_file(release: str, file: str) -> Response:
    """A kernel, an initrd or another of a release's files: public, and evidence when a claimed machine asks."""
    provisioner = _provisioner()
    address = _address()
    if not media.FILE_PATH.fullmatch(f"{release}/{file}"):
        raise NotFound("There is no such file.")  # a NUL, for one, is nothing that a database can be asked for
    behind_front = current_app.config["BEHIND_FRONT"]
    with reading(provisioner.database) as run:
        if behind_front:  # nginx follows no link out of its folder, see software/mirror.py
            media.refuse_unknown(run, release, file)
        else:
            path = media.locate(run, provisioner.settings, release, file)
        counts = evidence.expecting(run, address, Step.KERNEL_FETCHED)
    if counts:
        at = now()
        provisioner.commits.write(
            lambda session: evidence.kernel_fetched(session, address, release, file, source="http", now=at)
        )
    if behind_front:
        place = {"X-Accel-Redirect": f"{ACCEL_PREFIX}{release}/{file}"}
        return Response(content_type="application/octet-stream", headers=place)
    return send_file(path, mimetype="application/octet-stream", conditional=True, max_age=0)


def _asking(loader: str) -> Asking | None:
    """Who asks; None for a card whose address we cannot read: it boots from its disk as any stranger does."""
    said = request.args
    mac = mac_address.parse_or_none(said.get("mac", ""))
    if mac is None:
        return None
    # iPXE calls BIOS "pcbios i386"; the sightings speak the firmware table's names.
    client = firmware.of_ipxe(said.get("platform", ""), said.get("arch", ""))
    return Asking(
        mac=mac,
        address=_address(),
        loader=loader,
        arch=client.name if client else None,
        **{name: _said(said.get(name)) for name in ("serial", "uuid", "manufacturer", "product")},
    )


def _said(value: str | None) -> str | None:
    """What firmware says about itself, cut and without control characters; it lands on operators' screens."""
    if not value:
        return None
    return "".join(char for char in value if char.isprintable())[:SAID_LIMIT].strip() or None


def _check(token: str) -> None:
    """No token, no answer, whatever the body is; it is not even read."""
    with reading(_provisioner().database) as run:
        tokens.check(run, token, tokens.CALLBACK, now=now())


def _body(limit: int) -> bytes:
    """The whole body. Werkzeug cuts a chunked one at the limit and says nothing, so we ask for a byte more."""
    request.max_content_length = limit + 1
    content = request.get_data(cache=False)
    if len(content) > limit:
        raise RequestEntityTooLarge
    return content


def _report() -> Report:
    try:
        body = json.loads(_body(EVENT_LIMIT))
    except RecursionError:
        raise Invalid("The event is nested too deeply.") from None
    except ValueError:
        body = None
    if isinstance(body, dict) and webhook.is_one(body):
        return Report("progress", _printable(webhook.said(body)), _address())
    if not isinstance(body, dict) or not isinstance(body.get("event"), str):
        fix = 'Send {"event": "started", "message": "..."}.'
        raise Invalid(
            "The event is not a JSON object with an event.", problems=[FieldProblem("event", "is missing.", fix)]
        )
    message = body.get("message", "")
    if not isinstance(message, str):
        raise Invalid("The message is not text.", problems=[FieldProblem("message", "must be a string.")])
    return Report(body["event"], _printable(message)[-callbacks.MESSAGE_LIMIT :], _address())


def _printable(message: str) -> str:
    return "".join(char if char.isprintable() or char in "\n\t" else "�" for char in message)


def _address() -> str:
    """The client's address: the connection's, or the front's word where only the front can connect."""
    if current_app.config["BEHIND_FRONT"]:
        return request.headers.get("X-Real-IP", "") or "unknown"
    return request.remote_addr or "unknown"


def _script(asking: Asking | None, kind: str, render: Callable[[Boot], str]) -> Response:
    if asking is None:
        return _text(render(netboot.FROM_DISK))
    return _text(netboot.script(_provisioner(), asking, kind, render, now=now()))


def _provisioner() -> Provisioner:
    found: Provisioner = current_app.extensions["pxeapp"]
    return found


def _refuse_encodings() -> None:
    """A compressed body could be a bomb, and no installer sends one."""
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Invalid("Compressed bodies are not taken.", hint="Send it without Content-Encoding.")


def _text(text: str) -> Response:
    return Response(text, content_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"})


def _our_error(error: PxeError) -> tuple[Response, int]:
    if isinstance(error, NotFound):
        return _text("There is nothing here.\n"), HTTPStatus.NOT_FOUND
    if error.retryable:
        # What is wrong with the appliance is not the machines' business; that they may come again is.
        log_lines.error("A machine's request (%s) was refused: %s", request.endpoint, error)
        reply = _text(LATER)
        reply.headers["Retry-After"] = RETRY_AFTER_S
        return reply, error.status
    return _text(f"{error}\n"), error.status


def _http_error(error: HTTPException) -> tuple[Response, int]:
    if isinstance(error, RequestEntityTooLarge):
        return _text(TOO_LARGE), HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return _text(f"{error.name}\n"), error.code or HTTPStatus.INTERNAL_SERVER_ERROR
