"""What the commands of the appliance share: who acts, what `--json` is, and how a table is printed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

ACTOR = "user:local"  # whoever may run a command on the appliance may read its database and its key file anyway
PIPE_WIDTH = 1000
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Aligned, without rules; where no terminal limits it, one line for each row, as grep and awk want it."""
    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        # As Text it is shown to the letter: in a plain string rich takes the brackets of a BMC's sensor for its markup.
        table.add_row(*(Text(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table, crop=False)
