"""`pxeapp completion`: what a shell reads so that it completes our commands, options and file names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")
PROGRAM, VARIABLE = "pxeapp", "_PXEAPP_COMPLETE"  # the variable is click's way: the shell asks the program itself


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a SHELL, to be read at its start.

    bash: eval "$(pxeapp completion bash)" in ~/.bashrc; zsh: the same in ~/.zshrc;
    fish: pxeapp completion fish > ~/.config/fish/completions/pxeapp.fish
    """
    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - click knows each of SHELLS
    click.echo(made(context.find_root().command, {}, PROGRAM, VARIABLE).source())
