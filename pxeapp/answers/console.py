"""The installer's consoles: ours, unless the release names its own."""

from __future__ import annotations


def consoles(release_args: str, default: str) -> str:
    """The release's own kernel arguments, behind our consoles when it names none: the last console is the one used."""
    if any(word.startswith("console=") for word in release_args.split()):
        return release_args
    return f"{default} {release_args}".strip()
