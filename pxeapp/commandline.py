"""What the commands share: who acts, `--json`, how a table is printed, what is asked first, what is shown meanwhile."""

from __future__ import annotations

import contextlib
import gc
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pxeapp.errors import Conflict

ACTOR = "user:local"  # whoever may run a command on the appliance may read its database and its key file anyway
PIPE_WIDTH = 1000
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
yes = click.option("--yes", is_flag=True, help="Do not ask first.")


def moment(iso: str) -> str:
    """As people read it; the API says it in UTC."""
    return iso[:19].replace("T", " ")


def print_json(value: object) -> None:
    """As `--json` has it."""
    click.echo(json.dumps(value, indent=2))


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Aligned, without rules; where no terminal limits it, one line for each row, as grep and awk want it."""
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table(head, rows), crop=False)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """The same for whoever shows it anew again and again."""
    made = Table(*head, box=None, pad_edge=False)
    for row in rows:
        # As Text it is shown to the letter: in a plain string rich takes the brackets of a BMC's sensor for its markup.
        made.add_row(*(Text(cell) for cell in row))
    return made


def agree(what: str, *, yes: bool, type_in: str = "") -> None:
    """Before what cannot be taken back: say what it touches and have it agreed to.

    Raises Conflict where somebody does not agree, and where nobody can be asked and nobody said --yes.
    """
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise Conflict(what, hint="Nothing was done: there is no terminal to ask at. Add --yes to do it.")
    click.echo(what, err=True)
    if type_in:
        agreed = str(click.prompt(f"Type {type_in} to do it", default="", show_default=False, err=True)) == type_in
    else:
        agreed = click.confirm("Do it?", err=True)
    if not agreed:
        raise Conflict("Nothing was done.")


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """While modules are imported nothing is garbage, and looking for it takes a sixth of a short command's time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Show on a terminal that something takes its time."""
    if not sys.stderr.isatty():
        yield
        return
    with Console(stderr=True).status(what):
        yield


@contextlib.contextmanager
def counting(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on a terminal; what it gives is called with how many are done, of how many where that is known."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    # cost: a tenth of a second for every command, and only a few count something
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
