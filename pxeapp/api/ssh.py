"""`/machines/{id}/ssh`: the host keys that a machine is known by, and where it is; `/ssh/key`: what lets us in."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from apiflask import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field

from pxeapp.api.context import actor, context
from pxeapp.db import now
from pxeapp.machines import selectors
from pxeapp.nodes import keys, pins
from pxeapp.nodes.models import Node

bp = APIBlueprint("ssh", __name__, url_prefix="/api/v1", tag="Remote access")


class SshIn(BaseModel):
    """What somebody has read on the machine itself: the lines of its /etc/ssh/ssh_host_*_key.pub."""

    model_config = ConfigDict(extra="forbid")
    host_keys: Annotated[list[Annotated[str, Field(max_length=4000)]], Field(min_length=1, max_length=keys.MOST_KEYS)]
    address: Annotated[str, Field(max_length=45, description="Empty: as the machine's interfaces have it.")] = ""
    port: Annotated[int, Field(ge=1, le=65535)] = 22
    username: Annotated[str, Field(max_length=32, description="Who the appliance signs in as; empty: pxeapp.")] = ""


class HostKeyOut(BaseModel):
    """One key, with its fingerprint as ssh-keygen -l shows it."""

    key: str
    kind: str
    fingerprint: str


class SshOut(BaseModel):
    """How it is reached. `keys_from`: first_boot, or who recorded them; null where no key is known."""

    machine: str
    address: str
    port: int
    username: str
    host_keys: list[HostKeyOut]
    keys_from: str | None
    keys_at: str | None


class SshKeyOut(BaseModel):
    """The appliance's public key, as an authorized_keys has it."""

    key: str
    fingerprint: str


@bp.get("/ssh/key")
@bp.output(SshKeyOut)
def own_key() -> dict[str, Any]:
    """The line that lets the appliance into a machine that was not installed with it"""
    key = keys.public_key(context().vault)
    return {"key": key, "fingerprint": keys.fingerprint(key)}


@bp.get("/machines/<key>/ssh")
@bp.output(SshOut)
def show(key: str) -> dict[str, Any]:
    """The host keys by which the machine is known, and how it is reached"""
    with context().database.read() as session:
        row = selectors.get(session, key)
        return pins.wire(row, session.get(Node, row.id))


@bp.post("/machines/<key>/ssh")
@bp.input(SshIn, arg_name="said")
@bp.output(SshOut)
def record(key: str, said: SshIn) -> dict[str, Any]:
    """Pin host keys that were read on the machine itself; they take the place of those that were known"""
    with context().database.write() as session:
        row = selectors.get(session, key, lock=True)
        node = pins.record(
            session, row, said.host_keys, address=said.address, port=said.port, username=said.username,
            actor=actor().label, now=now(),
        )  # fmt: skip
        return pins.wire(row, node)


@bp.delete("/machines/<key>/ssh")
@bp.output({}, status_code=HTTPStatus.NO_CONTENT)
def forget(key: str) -> tuple[str, int]:
    """Forget its host keys: nothing is sent to it until it reports some, or somebody records them"""
    with context().database.write() as session:
        pins.forget(session, selectors.get(session, key, lock=True), actor=actor().label, now=now())
    return "", HTTPStatus.NO_CONTENT
