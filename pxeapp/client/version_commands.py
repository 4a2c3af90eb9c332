"""`versions` and `restore` of a group of commands: who made something what it is, and going back to what it was."""

from __future__ import annotations

import click

from pxeapp.client import appliance, at
from pxeapp.commandline import agree, as_json, moment, print_json, print_table, yes


def versioned(group: click.Group, kind: str) -> None:
    """Add them to the group of one kind of thing, by the first word of its address in the API."""

    @group.command("versions")
    @click.argument("name")
    @as_json
    def _versions(name: str, as_json: bool) -> None:
        """List the versions of NAME, the newest first; also of what was deleted."""
        found = list(appliance().each(at(kind, name, "versions")))
        if as_json:
            print_json({"items": found, "next": None})
            return
        rows = (
            (str(each["number"]), moment(each["at"]), each["author"], each["action"], each["comment"]) for each in found
        )
        print_table(("VERSION", "AT (UTC)", "BY", "WHAT", "WHY"), rows)

    @group.command("restore")
    @click.argument("name")
    @click.argument("number", type=click.IntRange(1))
    @click.option("--comment", default="", help="Why it goes back.")
    @yes
    def _restore(name: str, number: int, comment: str, yes: bool) -> None:
        """Go back to version NUMBER of NAME, secrets as they were then; also of what was deleted."""
        own = appliance()
        found = own.get(at(kind, name, "versions", number))
        agree(f"{name} becomes what {found['author']} made of it at {moment(found['at'])} UTC.", yes=yes)
        after = own.post(at(kind, name, "versions", number, "restore"), {"comment": comment})
        problem = f" It is not ready: {after['problem']}" if after.get("problem") else ""
        click.echo(f"{name} is what it was in version {number}; machines get it at their next deployment.{problem}")
