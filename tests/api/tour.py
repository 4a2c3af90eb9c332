"""A walk through every operation of the API, in an order in which each has what it needs: as examples.py has them."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from pxeapp import config, wiring
from pxeapp.accounts import totp
from pxeapp.accounts.actor import Actor
from pxeapp.accounts.permissions import ADMIN
from pxeapp.api.examples import EXAMPLES, UPLOADED, address
from pxeapp.app import create_app
from pxeapp.bmc.connect import FAKE_FOLDER
from pxeapp.bmc.fake import FakeBmc
from pxeapp.config import Settings
from pxeapp.consoles import recordings
from pxeapp.consoles.models import ConsoleRecording
from pxeapp.consoles.recordings import Recorder
from pxeapp.db import now
from pxeapp.machines import selectors
from pxeapp.machines.models import Sighting
from pxeapp.provisioning import answering, comparing, grants, steps, tokens
from pxeapp.provisioning.bulk_runner import Hands, Runner
from pxeapp.provisioning.models import NodeLog
from pxeapp.provisioning.proposals import Proposal, Selection
from pxeapp.software import kinds, packages
from pxeapp.software.content.manifest import Entry, Manifest
from pxeapp.software.content.store import Store
from pxeapp.software.isos import service as media
from pxeapp.software.packages import Package
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.repositories.signing import SigningKey
from pxeapp.software.snapshots import channels, uses
from pxeapp.software.snapshots.pins import Pin
from pxeapp.software.tasks import runner as task_runner
from pxeapp.software.tasks import service as task_service
from pxeapp.software.tasks.models import SoftwareTask
from pxeapp.webhooks.models import Delivery
from tests.api.conftest import Api, Asker
from tests.api.test_bmc import work
from tests.software.conftest import Reply, UpstreamServer
from tests.ui.test_sign_in import sign_in

FILES = {"kernel": b"a kernel", "initrd": b"an initrd"}
QUERIES = {"lists.delete": "shared=1", "uploads.show": "size=700000000"}
ENDLESS = frozenset({"events.stream", "consoles.stream"})  # test_exports.py and tests/consoles listen to them


def appliance(prepared: tuple[Settings, dict[str, str]], folder: Path, **said: str) -> Api:
    """A copy of the prepared appliance for a whole module, perhaps with other settings."""
    original, tokens = prepared
    shutil.copytree(original.data_dir, folder)
    app = create_app(config.load({"PXEAPP_DATA_DIR": str(folder), "PXEAPP_NODE_URL": original.node_url, **said}))
    return Api(app, app.extensions["pxeapp"], dict(tokens))


@dataclass
class Walk:
    """Who walks, and what they were told."""

    api: Api
    upstream: UpstreamServer
    operations: dict[str, tuple[str, str]]  # method and path, by name
    answers: dict[str, Any] = field(default_factory=dict)
    browser: Any = None
    csrf: str = ""
    failed: list[str] = field(default_factory=list)

    def ask(self, endpoint: str, said: Any = None, *, headers: dict[str, str] | None = None, query: str = "") -> Any:
        """Ask one operation, with this body."""
        method, path = self.operations[endpoint]
        where = re.sub(r"\{(\w+)\}", lambda found: str(address(endpoint, found[1])), path)
        more: dict[str, Any] = {"headers": headers or {}, "query_string": query or QUERIES.get(endpoint, "")}
        if isinstance(said, bytes):
            more["data"] = said
        elif said is not None:
            more["json"] = said
        if endpoint.startswith("account."):
            more["headers"] = {**more["headers"], "X-CSRF-Token": self.csrf}
            return self.browser.open(where, method=method, **more)
        return Asker(self.api.app.test_client(), self.api.tokens["admin"]).ask(method, where, **more)

    def signed_in(self) -> None:
        """At another browser."""
        self.browser = self.api.app.test_client()
        sign_in(self.browser)
        found = re.search(r'name="csrf" value="([^"]+)"', self.browser.get("/machines").text)
        assert found is not None, "nobody is signed in"
        self.csrf = found[1]


@dataclass(frozen=True)
class Stop:
    """One operation: what has to be there before, what is said instead of the example, and what is answered."""

    endpoint: str
    before: Callable[[Walk], None] = lambda _walk: None
    instead: Callable[[Walk, Any], Any] = lambda _walk, example: example
    status: int | None = None  # None: one that says that all is well


def walk(
    api: Api, upstream: UpstreamServer, document: dict[str, Any], before: Callable[[Walk, str, Any], None]
) -> Iterator[tuple[Walk, str, Any, Any]]:
    """Every operation with its body and its answer; `before` may ask wrongly just before it is asked."""
    operations = {
        operation["operationId"]: (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    for name, content in FILES.items():
        upstream.replies[f"/{name}"] = Reply(content)
    going = Walk(api, upstream, operations)
    for stop in STOPS:
        if stop.endpoint not in operations:
            continue
        try:
            stop.before(going)
        except Exception as error:  # noqa: BLE001 - as above
            going.failed.append(f"before {stop.endpoint}: {error!r}")
            continue
        said = stop.instead(going, EXAMPLES.get(stop.endpoint))
        before(going, stop.endpoint, said)
        reply = going.ask(stop.endpoint, said, headers={"Idempotency-Key": stop.endpoint})
        going.answers[stop.endpoint] = reply
        expected = reply.status_code < 300 if stop.status is None else reply.status_code == stop.status
        if not expected:  # the rest of the tour may still tell something
            going.failed.append(f"{stop.endpoint}: {reply.status_code} {reply.text[:1000]}")
            continue
        yield going, stop.endpoint, said, reply


def _mirrored(going: Walk, example: dict[str, Any]) -> dict[str, Any]:
    """A release whose files are there, wherever they are while this test runs."""
    found = dict(example)
    for name, content in FILES.items():
        found[f"{name}_url"] = f"{going.upstream.url}/{name}"
        found[f"{name}_sha256"] = hashlib.sha256(content).hexdigest()
    return found


def _bmc(going: Walk) -> None:
    """Its BMC is made of files, and its console was recorded once."""
    with going.api.write() as session:
        row = selectors.get(session, "node1")
        assert row.bmc is not None
        row.bmc.type, row.bmc.address = "fake", "node1"
        recording = ConsoleRecording(machine_id=row.id, title="attempt 1", started_at=now())
        session.add(recording)
        session.flush()
        path = recordings.path_of(going.api.context.settings.data_dir, recording.id)
    FakeBmc(going.api.context.settings.data_dir / FAKE_FOLDER, "node1").log("fan failure")
    recorder = Recorder(path, started_at=now(), title="attempt 1")
    recorder.heard(b"login: ", now=now())
    recorder.close()


def _asked(going: Walk) -> None:
    work(going.api)


def _seen(going: Walk) -> None:
    with going.api.write() as session:
        session.add(Sighting(mac="52:54:00:12:34:59", first_seen=now(), last_seen=now(), loader_requests=3))


def _given(going: Walk) -> None:
    """What the first attempt fetched and sent."""
    own = wiring.create_provisioner(going.api.context.settings)
    with own.database.write() as session:
        deployment = steps.locked(session, 1)
        assert deployment is not None
        grants.arm(session, own.vault, deployment, now=now())
        token = tokens.derive(own.vault, deployment, tokens.CONFIG)
        session.add(NodeLog(deployment_id=deployment.id, name="installer", at=now(), content=b"a line of it\n"))
    answering.answer(own, token, "preseed", address="10.77.0.11", now=now())
    own.database.dispose()


def _jobs_done(going: Walk) -> None:
    own = going.api.context
    Runner(Hands(own.database, own.vault, own.checker, own.queue), "tour").look()


def _compared(going: Walk) -> None:
    own = going.api.context
    proposal = Proposal(roles=EXAMPLES["diffs.compare"]["roles"])
    with own.database.write() as session:
        by = Actor("token:the-admin", ADMIN)
        comparing.order(session, own.vault, proposal, Selection(), limit=20, actor=by, now=now())
    comparing.Comparer(comparing.Hands(own.database, own.vault, own.checker), "tour").look()


def _task_done(going: Walk) -> None:
    """The software worker has come by."""
    assert task_runner.Runner(going.api.context.settings, kinds.loaders()).look()


def _no_task(going: Walk) -> None:
    """Whatever was ordered was cancelled: what the worker makes of it is looked at elsewhere."""
    with going.api.write() as session:
        for row in task_service.listing(session, limit=100, running=True):
            task_service.cancel(session, row.id, actor="test", now=now())


def _one_package(going: Walk) -> None:
    """As if it had been published."""
    store = Store(going.api.context.settings.data_dir / "software")
    path = "pool/main/n/node-agent/node-agent_1.1_all.deb"
    package = Package("deb", "node-agent", "1.1", "all", path, "5" * 64, 51200, "node-agent", "Tells what it sees")
    with going.api.write() as session:
        row = session.scalars(select(SoftwareRepository).where(SoftwareRepository.name == "tools")).one()
        row.packages, row.package_count = packages.save(store, [package]), 1


def _two_keys(going: Walk) -> None:
    _no_task(going)
    with going.api.write() as session:
        for fingerprint in ("F" * 40, address("repositories.retire_key", "fingerprint")):
            public = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n...\n-----END PGP PUBLIC KEY BLOCK-----\n"
            session.add(
                SigningKey(fingerprint=fingerprint, owner="pxeapp", public=public, private="", created_at=now())
            )


def _published(going: Walk) -> None:
    """A repository has been published."""
    store = Store(going.api.context.settings.data_dir / "software")
    blob = store.add_bytes(b"a package")
    path = "pool/main/m/memcached/memcached_1.6-1_amd64.deb"
    listed = [Package("deb", "memcached", "1.6-1", "amd64", path, blob.sha256, blob.size, "memcached", "A cache")]
    with going.api.write() as session:
        row = SoftwareRepository(name="tour", kind="deb", origin="local", created_at=now(), updated_at=now())
        row.manifest = Manifest([Entry(path, blob.sha256, blob.size)]).save(store)
        row.packages, row.package_count, row.bytes = packages.save(store, listed), 1, blob.size
        session.add(row)


def _used(going: Walk) -> None:
    """A deployment was given it."""
    with going.api.write() as session:
        uses.record(session, "deployment:1", Pin("2026-11"), machine="node1", now=now())


def _promoted_again(going: Walk) -> None:
    """Another one came after it."""
    going.ask("snapshots.create", {"name": "2026-12", "repositories": ["tour"]})
    with going.api.write() as session:
        channels.promote(session, "2026-12", "dev", actor="user:ada", now=now())


def _not_led_to(going: Walk) -> None:
    with going.api.write() as session:
        channels.promote(session, "2026-12", "dev", actor="user:ada", now=now())
    while task_runner.Runner(going.api.context.settings, kinds.loaders()).look():
        pass


def _an_image_lies_there(going: Walk) -> None:
    """As if somebody had copied it."""
    incoming = going.api.context.settings.data_dir / "incoming"
    incoming.mkdir(exist_ok=True)
    (incoming / EXAMPLES["media.create"]["path"]).write_bytes(UPLOADED)


def _imported(going: Walk) -> None:
    """As if a worker had come by and found a DVD."""
    said = {
        "title": "Rocky Linux 9.4 DVD", "layout": "enterprise", "family": "rocky", "version": "9.4", "kind": "dvd",
        "label": "Rocky-9-4-x86_64-dvd", "source": "Rocky-9.4-x86_64-dvd.iso", "iso_sha256": "0" * 64,
        "iso_bytes": 10_950_000_000, "kernel": "images/pxeboot/vmlinuz", "initrd": "images/pxeboot/initrd.img",
        "stage2": "images/install.img", "repositories": [{"name": "BaseOS", "path": "BaseOS"}],
        "checks": [{"what": ".treeinfo", "verified": True, "says": "5 checksums in .treeinfo are right."}],
        "remarks": [], "files": 7412, "bytes": 10_900_000_000, "manifest": "",
    }  # fmt: skip
    with going.api.write() as session:
        media.save(session, "rocky-9.4", said, replace=False, actor="user:ada", now=now())


def _bundled(going: Walk) -> None:
    """It is made, and lies where an import takes it from."""
    _not_led_to(going)
    folder = going.api.context.settings.data_dir
    shutil.copytree(folder / "bundles/site-2026-11", folder / "incoming", dirs_exist_ok=True)


def _task_is_gone(going: Walk) -> None:
    """Nobody waits for a mirror of the internet."""
    with going.api.write() as session:
        session.execute(update(SoftwareTask).values(finished_at=now(), outcome="done"))


def _another_job(going: Walk) -> None:
    going.ask("jobs.order", {"action": "lock", "on": False, "machines": ["node1"]})


def _code(going: Walk, _example: Any) -> dict[str, str]:
    return {"code": totp.code(going.answers["account.begin_totp"].json["secret"], totp.step_of(now()))}


def _delivered(going: Walk) -> None:
    """As if it had gone out: what waits is sent by itself."""
    with going.api.write() as session:
        session.execute(update(Delivery).values(outcome="delivered"))


STOPS: tuple[Stop, ...] = (
    *map(Stop, ("health.healthz", "appliance.show", "appliance.observe", "appliance.resume")),
    Stop("health.readyz"),
    # What machines are made of
    *map(Stop, ("networks.create", "networks.change", "networks.replace", "networks.show", "networks.listing")),
    *map(Stop, ("networks.versions", "networks.version", "networks.restore")),
    *map(Stop, ("clusters.create", "clusters.change", "clusters.replace", "clusters.show", "clusters.listing")),
    *map(Stop, ("clusters.rotate", "clusters.versions", "clusters.version", "clusters.restore")),
    *map(Stop, ("roles.create", "roles.change", "roles.replace", "roles.show", "roles.listing")),
    *map(Stop, ("roles.versions", "roles.version", "roles.restore")),
    Stop("releases.create", instead=_mirrored),
    Stop("releases.change"),
    Stop("releases.replace", instead=_mirrored),
    *map(Stop, ("releases.show", "releases.listing", "releases.verify")),
    *map(Stop, ("releases.versions", "releases.version", "releases.restore")),
    *map(Stop, ("templates.save", "templates.show", "templates.listing", "templates.versions", "templates.rollback")),
    Stop("variables.listing"),
    # Machines
    *map(Stop, ("machines.create", "machines.change", "machines.replace", "machines.show", "machines.listing")),
    Stop("machines.imports"),
    Stop("sightings.listing", before=_seen),
    *map(Stop, ("sightings.adopt", "machines.bring", "machines.events", "variables.of_machine")),
    *map(Stop, ("lists.save", "lists.listing", "lists.machines_csv")),
    *map(Stop, ("exports.inventory", "exports.host", "exports.targets")),
    # Their BMCs
    Stop("bmc.refresh_sensors", before=_bmc),
    *map(Stop, ("bmc.refresh_sel", "bmc.refresh_boot_device", "bmc.refresh_identity")),
    *map(Stop, ("bmc.set_boot_device", "bmc.identify", "bmc.clear_sel", "bmc.order")),
    Stop("bmc.sensors", before=_asked),
    *map(Stop, ("bmc.sel", "bmc.boot_device", "bmc.identity", "power.order", "power.show")),
    *map(Stop, ("consoles.listing", "consoles.recording", "consoles.recording_text")),
    Stop("consoles.show", status=503),  # no console process runs here
    Stop("consoles.keys", status=503),
    Stop("consoles.act", status=503),
    # Deployments
    *map(Stop, ("deployments.rendered", "checks.listing", "diffs.compare", "deployments.deploy")),
    Stop("deployments.show", before=_given),
    *map(Stop, ("deployments.listing", "deployments.logs", "deployments.log", "deployments.explain")),
    *map(Stop, ("given.listing", "given.exact", "deployments.abort", "deployments.release")),
    # Many at once
    Stop("jobs.order"),
    Stop("jobs.show", before=_jobs_done),
    *map(Stop, ("jobs.listing", "jobs.items")),
    Stop("diffs.found", before=_compared),
    Stop("jobs.cancel", before=_another_job),
    # Software
    Stop("uploads.put", instead=lambda _walk, _example: UPLOADED),
    Stop("uploads.show"),
    Stop("tasks.clean"),
    *map(Stop, ("tasks.listing", "tasks.show")),
    Stop("tasks.retry", before=_task_done),
    Stop("tasks.cancel"),
    *map(Stop, ("mirrors.create", "mirrors.change", "mirrors.show", "mirrors.listing", "mirrors.list_definitions")),
    *map(Stop, ("mirrors.preview", "mirrors.sync")),
    Stop("mirrors.delete", before=_task_is_gone),
    Stop("snapshots.create", before=_published),
    *map(Stop, ("snapshots.show", "snapshots.listing", "snapshots.difference")),
    Stop("snapshots.list_uses", before=_used),
    *map(Stop, ("snapshots.verify", "channels.create", "channels.listing", "channels.show", "snapshots.promote")),
    *map(Stop, ("channels.history",)),
    Stop("channels.rollback", before=_promoted_again),
    Stop("channels.delete"),
    Stop("snapshots.delete", before=_not_led_to),
    Stop("bundles.create"),
    Stop("bundles.show", before=_bundled),
    *map(Stop, ("bundles.listing", "bundles.fetch", "bundles.verify", "bundles.take", "bundles.delete")),
    Stop("repositories.create"),
    *map(partial(Stop, before=_no_task), ("repositories.change", "repositories.edit", "repositories.publish")),
    *map(Stop, ("repositories.show", "repositories.listing", "repositories.add_key")),
    Stop("repositories.packages", before=_one_package),
    Stop("repositories.retire_key", before=_two_keys),
    Stop("repositories.list_keys"),
    *map(Stop, ("upstreams.create", "upstreams.change", "upstreams.show", "upstreams.listing")),
    *map(Stop, ("upstreams.show_statistics", "upstreams.purge", "upstreams.seed", "upstreams.delete")),
    Stop("media.create", before=_an_image_lies_there),
    Stop("media.listing", before=_imported),
    *map(Stop, ("media.show", "media.delete")),
    # Who is told, and who did what
    *map(Stop, ("webhooks.create", "webhooks.change", "webhooks.replace", "webhooks.show", "webhooks.listing")),
    *map(Stop, ("webhooks.test", "webhooks.delivery", "webhooks.deliveries")),
    Stop("webhooks.replay", before=_delivered),
    *map(Stop, ("audit.listing", "audit.show", "audit.export", "health.metrics")),
    *map(Stop, ("reports.durations", "reports.success", "reports.failures", "reports.repairs", "reports.inventory")),
    # Accounts
    *map(Stop, ("users.create", "users.change", "users.show", "users.listing", "users.reset_password")),
    *map(Stop, ("users.end_sessions", "tokens.create", "tokens.listing", "tokens.revoke")),
    Stop("account.show", before=Walk.signed_in),
    *map(Stop, ("account.sessions", "account.create_token", "account.tokens", "account.revoke_token")),
    Stop("account.begin_totp"),
    Stop("account.confirm_totp", instead=_code),
    *map(Stop, ("account.renew_recovery_codes", "account.remove_totp")),
    Stop("account.sign_in", instead=lambda _walk, example: {**example, "name": "admin"}),
    Stop("account.end_session", before=Walk.signed_in),  # the one of before
    Stop("account.end_sessions"),
    Stop("account.password", before=Walk.signed_in),
    # And away again
    *map(Stop, ("webhooks.delete", "users.delete", "lists.delete", "templates.delete", "machines.delete")),
    *map(Stop, ("clusters.delete", "networks.delete", "roles.delete", "releases.delete")),
    Stop("repositories.delete", before=_no_task),
)
