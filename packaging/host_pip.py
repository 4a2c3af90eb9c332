"""Carries this host's pip configuration into an image build: one file, and the folders and certificates it names.

    python host_pip.py FOLDER      writes FOLDER/pip.conf (mode 0600: an index may carry a password) and prints, one a
                                   line, what has to be mounted, as buildah's --volume wants it

pip's own `config list` merges its files and variables, so nothing here knows where they lie.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

LINE = re.compile(r"(?P<section>:env:|[\w-]+)\.(?P<key>[\w-]+)=(?P<value>.*)")
FILE_PATH = re.compile(r"(?:file://)?(/[^\s,]+)")


def merged() -> dict[tuple[str, str], str]:
    """Every setting by section and key; those from variables count for every command, and win."""
    found: dict[tuple[str, str], str] = {}
    from_variables: dict[tuple[str, str], str] = {}
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    ).stdout
    for match in filter(None, map(LINE.fullmatch, listing.splitlines())):
        section, key, value = match["section"], match["key"], str(ast.literal_eval(match["value"]))
        if section == ":env:":
            from_variables["global", key] = value
        else:
            found[section, key] = value
    return found | from_variables


def main(folder: Path) -> None:
    """Write the file, print the mounts."""
    settings = merged()
    certificate = settings.pop(("global", "cert"), "")
    mounts = set()
    if certificate:
        # Under a name of its own: mounted over the image's bundle it would stand in that package's way.
        mounts.add(f"{certificate}:{folder}/ca.crt:ro")
        settings["global", "cert"] = f"{folder}/ca.crt"
    for (_section, key), value in settings.items():
        for path in map(Path, FILE_PATH.findall(value)):
            # An index in files keeps the packages themselves beside it.
            shown = path.parent if "index" in key else path
            if key != "cert" and path.exists():
                mounts.add(f"{shown}:{shown}:ro")
    sections: dict[str, list[str]] = {}
    for (section, key), value in sorted(settings.items()):
        sections.setdefault(section, []).append(f"{key} = " + value.strip().replace("\n", "\n    "))
    target = folder / "pip.conf"
    target.touch(mode=0o600)
    target.write_text("".join(f"[{name}]\n" + "\n".join(lines) + "\n" for name, lines in sections.items()))
    os.chmod(target, 0o600)  # noqa: PTH101 - the file may have been there before
    print("\n".join(sorted(mounts)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
