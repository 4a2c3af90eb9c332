"""A reader of partman's expert recipes, and the installer's own, where its udeb was fetched at set-up."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

WORDS = re.compile(r"(\$?[A-Za-z_/]+)\{ ([^}]*)\}")
UDEB = Path(__file__).parents[3] / ".venv" / "udebs" / "partman-auto" / "lib" / "partman" / "lib" / "recipes.sh"


@dataclass(frozen=True)
class Stanza:
    """One partition or volume: sizes in megabytes, file system, and its words with what stands in their braces."""

    least: int
    weight: int
    most: int
    filesystem: str
    words: dict[str, str]


def stanzas(recipe: str) -> list[Stanza]:
    """What the recipe says; raises ValueError where partman would misread it."""
    name, _, rest = recipe.partition(" :: ")
    if not re.fullmatch(r"[a-z]+", name) or not rest.endswith(" ."):
        raise ValueError(recipe)
    found = []
    for text in rest.removesuffix(" .").split(" . "):
        least, weight, most, filesystem, *words = text.split(" ", 4)
        said = {key: value.strip() for key, value in WORDS.findall(" ".join(words))}
        if WORDS.sub("", " ".join(words)).strip():
            raise ValueError(text)  # something that is no word with its braces
        found.append(Stanza(int(least), int(weight), int(most), filesystem, said))
    return found


HARNESS = """
NL='
'
TAB='	'
DEVICES={root}/devices
mkdir -p $DEVICES/disk
cd $DEVICES/disk
restore_ifs() {{ IFS=' ''
''	'; }}
convert_to_megabytes() {{ expr 0000000"$1" : '0*\\(..*\\)......$'; }}
open_dialog() {{ :; }}
close_dialog() {{ :; }}
read_line() {{ eval "$1={label}"; }}
db_get() {{ case $1 in partman-auto/cap-ram) RET=1024 ;; *) RET=ext4 ;; esac; }}
db_metaget() {{ RET=; return 1; }}
logger() {{ :; }}
. {library}
"""


def decoded(recipe: str, kind: str, root: Path, *, label: str = "gpt", free: int | None = None) -> list[Stanza]:
    """What the installer's own decode_recipe makes of it for `default` or `lvm`; with `free` megabytes, expanded."""
    (root / "recipe").write_text(recipe)
    script = HARNESS.format(root=root, library=UDEB, label=label)
    script += f"decode_recipe {root}/recipe {kind}\n"
    if kind == "lvm":
        script += 'scheme=$(echo "$scheme" | grep lvmok)\n'
    if free is not None:
        script += f"free_size={free}\nexpand_scheme\n"
    script += 'echo "$scheme"\n'
    shell = ["busybox", "sh"] if shutil.which("busybox") else ["dash"]
    done = subprocess.run([*shell], input=script, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    found = []
    for line in done.stdout.splitlines():
        least, weight, most, filesystem, *words = line.split(" ", 4)
        said = {key: value.strip() for key, value in WORDS.findall(" ".join(words))}
        found.append(Stanza(int(least), int(weight), int(most), filesystem, said))
    return found
