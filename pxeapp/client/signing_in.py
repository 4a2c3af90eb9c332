"""`pxeapp login --user`: a token for name and password; the code of a second factor is asked for where there is one."""

from __future__ import annotations

import getpass
import socket
import sys
from pathlib import Path
from typing import Any

import click

from pxeapp.client import Appliance, Transport, profiles
from pxeapp.errors import FieldProblem, Invalid

TRIES = 3
LONGEST_NAME = 63


def token(transport: Transport, *, user: str, password_file: Path | None, days: int | None, read_only: bool) -> str:
    """Sign in, and have a token made that is named for this host; its secret."""
    password = _password_in(password_file) if password_file is not None else _asked(user)
    said: dict[str, Any] = {"name": user, "password": password, "token_name": _named(), "read_only": read_only}
    if days is not None:
        said["days"] = days
    own = Appliance(transport)
    try:
        return profiles.usable(str(_made(own, said)["token"]))
    finally:
        transport.close()


def _made(own: Appliance, said: dict[str, Any]) -> Any:
    for attempt in range(1, TRIES + 1):
        try:
            return own.post("/account/sign-in", said)
        except Invalid as error:
            problem = next((each for each in error.problems if each.field == "code"), None)
            if problem is None or attempt == TRIES or not can_ask():
                raise
            if said.get("code"):
                click.echo(f"The code {problem.problem} {problem.fix}", err=True)
            # Shown while it is typed: it is good for half a minute, and once.
            said = {**said, "code": str(click.prompt("Code of your second factor", err=True)).strip()}
    raise AssertionError("the last attempt returns or raises")


def can_ask() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin is not None and sys.stdin.isatty()


def _asked(user: str) -> str:
    return str(click.prompt(f"Password of {user}", hide_input=True, err=True))


def _password_in(path: Path) -> str:
    try:
        return path.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        problem = FieldProblem(
            "password file", f"{path} cannot be read ({type(error).__name__}).", "Name another file."
        )
        raise Invalid("Nobody was signed in.", problems=[problem]) from None


def _named() -> str:
    """Whoever looks through the tokens sees where each is from."""
    return f"pxeapp login, {getpass.getuser()} at {socket.gethostname()}"[:LONGEST_NAME]
