"""`pxeapp login`, `logout` and `profile`: which appliances elsewhere the command line knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from pxeapp import __version__, config
from pxeapp.client import Appliance, Refused, at, chosen, profiles, signing_in
from pxeapp.client.http import Http
from pxeapp.client.profiles import Profile, Profiles
from pxeapp.commandline import as_json, print_json, print_table
from pxeapp.errors import Conflict, Forbidden, NotFound, PxeError, Unauthenticated

ON_THIS_HOST = "this host"
existing = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("url")
@click.option("--name", default="", help="What the profile is called; left out: the appliance's host.")
@click.option("--token-file", type=existing, help="A file with the token in it; left out: asked for.")
@click.option("--user", default="", help="Have a token made for this user, whose password is asked for.")
@click.option("--password-file", type=existing, help="A file with the password of --user in it.")
@click.option("--days", type=click.IntRange(1, 90), default=None, help="For how long it is good, with --user.")
@click.option("--read-only", is_flag=True, help="With --user: it changes nothing.")
@click.option("--ca-file", type=existing, help="The certificate of a certificate authority of your own.")
@click.option("--insecure", is_flag=True, help="Yes, send the token unencrypted to an http:// address.")
def login(
    url: str, name: str, token_file: Path | None, ca_file: Path | None, insecure: bool, **signing: Any
) -> None:  # fmt: skip
    """Speak to the appliance at URL from now on, with a token of yours.

    Make the token on its page Account, or with `pxeapp token create` there; or say --user and enter your password.
    `pxeapp --local` means this host again.
    """
    _refuse_mixed(token_file, signing)
    address = profiles.checked(url, insecure=insecure)
    name = profiles.named(name or urlsplit(address).hostname or "")
    if signing["user"]:
        token = signing_in.token(Http(address, "", ca_file=ca_file), **signing)
    elif token_file is not None:
        token = profiles.token_in(token_file)
    else:
        token = profiles.usable(str(click.prompt(f"Token ({address}/account makes one)", hide_input=True, err=True)))
    made = Profile(name, address, token, ca_file.absolute() if ca_file else None, insecure)
    own = Appliance(Http(made.url, made.token, ca_file=made.ca_file))
    try:
        account, version = _account(own), own.get("/appliance")["version"]
    finally:
        own.transport.close()
    settings = config.load_client()
    known = profiles.load(settings)
    profiles.save(settings, Profiles({**known.known, name: made}, name))
    click.echo(f"{name} is the profile from now on: {_described(account)}")
    if version != __version__:
        click.echo(
            f"The appliance is pxeapp {version}, this command {__version__}: where they differ it says so.", err=True
        )


def _refuse_mixed(token_file: Path | None, signing: Mapping[str, Any]) -> None:
    if token_file is not None and signing["user"]:
        raise click.UsageError("--token-file and --user say two different things.")
    if not signing["user"] and (signing["password_file"] or signing["days"] or signing["read_only"]):
        raise click.UsageError("--password-file, --days and --read-only go with --user.")


@click.command()
@click.argument("name", required=False)
def logout(name: str | None) -> None:
    """Revoke the token of profile NAME (or of the chosen one) and forget the profile."""
    settings = config.load_client()
    known = profiles.load(settings)
    meant = known.get(name or chosen().name or settings.profile or known.current or _nothing_chosen())
    own = Appliance(Http(meant.url, meant.token, ca_file=meant.ca_file))
    try:
        said = _revoked(own)
    except PxeError as error:  # an appliance that is gone must not keep its profile for ever
        said = f"its token was not revoked: {error}"
    finally:
        own.transport.close()
    _forget(settings, known, meant.name)
    click.echo(f"The profile {meant.name} is forgotten; {said}")


@click.group()
def profile() -> None:
    """Appliances elsewhere that `pxeapp login` made known."""


@profile.command("list")
@as_json
def list_profiles(as_json: bool) -> None:
    """List the profiles; the star marks the one that is used."""
    known = profiles.load(config.load_client())
    if as_json:
        print_json({"items": [_shown(each, known) for each in known.known.values()], "next": None})
        return
    rows = [("*" if name == known.current else "", name, each.url) for name, each in known.known.items()]
    print_table(("", "NAME", "URL"), rows)


@profile.command("use")
@click.argument("name")
def use(name: str) -> None:
    """Speak to the appliance of profile NAME from now on; `-` means this host again."""
    settings = config.load_client()
    known = profiles.load(settings)
    current = "" if name == "-" else known.get(name).name
    profiles.save(settings, Profiles(known.known, current))
    click.echo(f"pxeapp speaks to {known.known[current].url if current else ON_THIS_HOST} from now on.")


@profile.command("show")
@click.argument("name", required=False)
@as_json
def show(name: str | None, as_json: bool) -> None:
    """Show profile NAME (or the one that is used), and who one is there; never its token."""
    settings = config.load_client()
    known = profiles.load(settings)
    wanted = name or chosen().name or settings.profile or known.current
    meant = known.get(wanted) if wanted else profiles.wanted(settings, "")
    if meant is None:
        click.echo(f"No profile is used: pxeapp speaks to {ON_THIS_HOST}.")
        return
    own = Appliance(Http(meant.url, meant.token, ca_file=meant.ca_file))
    try:
        account = _account(own)
    finally:
        own.transport.close()
    if as_json:
        about = {key: account[key] for key in ("actor", "role", "projects", "read_only", "token")}
        print_json({**_shown(meant, known), **about})
        return
    click.echo(f"{meant.name}: {meant.url}\n{_described(account)}")


@profile.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Forget profile NAME; its token stays good, unlike after `pxeapp logout`."""
    settings = config.load_client()
    known = profiles.load(settings)
    _forget(settings, known, known.get(name).name)
    click.echo(f"The profile {name} is forgotten.")


def _account(own: Appliance) -> dict[str, Any]:
    """Who the token is; raises what is wrong with it, or with the address."""
    try:
        found = own.get("/account")
    except Unauthenticated as error:
        raise Unauthenticated(error.sentence, hint="Make a new one on the page Account.") from None
    if not isinstance(found, dict) or not {"actor", "role", "projects", "read_only"} <= set(found):
        raise Refused("What answers there is no pxeapp.", hint="Check the address of the appliance.")
    return {"token": None, **found}


def _described(account: dict[str, Any]) -> str:
    where = "all machines" if account["projects"] is None else f"projects {', '.join(account['projects']) or 'none'}"
    ends = (account["token"] or {}).get("expires_at")
    until = f"until {ends[:16].replace('T', ' ')} UTC" if ends else "until it is revoked"
    only = ", only to read" if account["read_only"] else ""
    return f"{account['actor']} is {account['role']}{only}, {where}, {until}."


def _revoked(own: Appliance) -> str:
    """Revoke the token that asks, if it may, and say what became of it."""
    account = _account(own)
    if account["token"] is None:
        return "its token was not revoked: the appliance does not say which it is."
    number = account["token"]["id"]
    for place in (at("account", "tokens", number), at("tokens", number)):
        try:
            own.delete(place)
        except (Forbidden, Conflict, NotFound):
            continue
        return "its token is revoked."
    return f"its token may not revoke itself. An admin can: pxeapp token revoke {number}"


def _forget(settings: config.ClientSettings, known: Profiles, name: str) -> None:
    kept = {each: value for each, value in known.known.items() if each != name}
    profiles.save(settings, replace(known, known=kept, current="" if known.current == name else known.current))


def _shown(meant: Profile, known: Profiles) -> dict[str, Any]:
    return {
        "name": meant.name, "url": meant.url, "current": meant.name == known.current,
        "ca_file": str(meant.ca_file) if meant.ca_file else None, "insecure": meant.insecure,
    }  # fmt: skip


def _nothing_chosen() -> str:
    raise NotFound("No profile is used.", hint="Name one: pxeapp logout NAME")
