"""Users of the installed system."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, StrictInt, StrictStr, model_validator

from pxeapp.answers.site.words import AbsolutePath, Account, Crypt, Part, SshKey, Unfit, matching


def _not_root(value: str) -> str:
    if value == "root":
        raise Unfit("root is no user to add.", "Use root_password_hash and ssh_authorized_keys for root.")
    return value


def _uid(value: int) -> int:
    if not 1 <= value <= 60000:
        raise Unfit(f"{value} is no user's number.", "Use 1 to 60000.")
    return value


class User(Part):
    """A user; without a hash the password is locked, and keys are the only way in."""

    name: Annotated[Account, AfterValidator(_not_root)]
    groups: tuple[Account, ...] = ()
    sudo: Literal["no", "password", "nopasswd"] = "no"
    password_hash: Crypt | None = None
    ssh_authorized_keys: tuple[SshKey, ...] = ()
    shell: AbsolutePath = "/bin/bash"
    uid: Annotated[StrictInt, AfterValidator(_uid)] | None = None
    comment: Annotated[
        StrictStr, matching(r"[A-Za-z0-9 .,@+_-]{0,100}", "Use ASCII letters, digits, blanks and .,@+_-")
    ] = ""

    @model_validator(mode="after")
    def _can_do_what_it_may(self) -> User:
        if self.sudo == "password" and self.password_hash is None:
            fix = "Give it a password_hash, or say sudo: nopasswd."
            raise Unfit("asks for a password with sudo, and has none.", fix)
        return self
