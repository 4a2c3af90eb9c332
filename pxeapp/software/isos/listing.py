"""What lies on an image: listed before anything is read, and refused whole when one name in it is not plain.

bsdtar lists and reads; it writes no file. Names, kinds and sizes come from the list, contents from a stream that is
compared with it, so what an image claims first and what it gives afterwards cannot differ.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO

from pxeapp.errors import Conflict, Invalid
from pxeapp.software.content.manifest import check_path
from pxeapp.software.isos.image import Image, refused

PROGRAM = "bsdtar"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
LIST_TIMEOUT_S = 300.0
MEMORY = 1024**3  # bytes of address space: a folder that claims to be huge must not take the appliance's
MAX_FILES = 300_000
MAX_LINE = 8192
MAX_DEPTH = 32
# -rw-r--r--  1 0      0        2048 Nov 26 06:13 images/install.img
_LINE = re.compile(
    r"(?P<kind>[-dlbcps])[rwxsStTlL-]{9}[+@.]? +[0-9]+ +\S+ +\S+ +(?P<size>[0-9]+(,[0-9]+)?) .{12} (?P<rest>.+)"
)
_KINDS = {"b": "a block device", "c": "a character device", "p": "a named pipe", "s": "a socket"}
DELAYED = "Error exit delayed"  # what bsdtar ends with after it has said what is wrong
LINK, HARD = " -> ", " link to "


@dataclass(slots=True)
class Listing:
    """Files with their sizes in bytes; `same` are further names of one of them, `links` symbolic ones as they stand."""

    files: dict[str, int] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)

    @property
    def bytes(self) -> int:
        """What all files hold together."""
        return sum(self.files.values())

    def has(self, path: str) -> bool:
        """Whether there is a file of this name."""
        return path in self.files or path in self.same


def read(image: Image) -> Listing:
    """List the image; raises Invalid for the whole of it when anything in it is not plain."""
    found = Listing()
    with running(image, "-tvPf", str(image.path), timeout_s=LIST_TIMEOUT_S) as out:
        for line in _lines(out, image):
            _add(found, line, image)
            if len(found.files) + len(found.same) + len(found.links) + len(found.folders) > MAX_FILES:
                raise refused(f"{image.name} names more than {MAX_FILES} files.", "No medium has as many.")
    if found.bytes > image.size:
        raise refused(
            f"the files in {image.name} claim to hold {found.bytes} bytes, and the image has {image.size}.",
            "It was made to fill a disk; take the distribution's own.",
        )
    for path, target in found.links.items():
        _inside(path, target, image)
    return found


def resolved(listing: Listing) -> tuple[dict[str, str], list[str]]:
    """Further names of files that symbolic links give: name to file, and the links that are left out.

    A link to a file is that file under another name, and one to a folder its files (links in it are not followed once
    more). Left out are a link to a folder that it lies in itself, as `debian -> .`, and one that leads to nothing.
    """
    aliases: dict[str, str] = {}
    dropped: list[str] = []
    below: dict[str, list[str]] = {}
    named = {**{path: path for path in listing.files}, **listing.same}
    for path in named:
        for parent in PurePosixPath(path).parents:
            below.setdefault(str(parent), []).append(path)
    for link, target in sorted(listing.links.items()):
        place = _place(link, target)
        if place in named:
            aliases[link] = named[place]
        elif place == "." or link.startswith(f"{place}/") or place not in below:
            dropped.append(link)
        else:
            for path in below[place]:
                aliases[link + path[len(place) :]] = named[path]
        if len(named) + len(aliases) > MAX_FILES:
            raise refused(f"links give more than {MAX_FILES} names.", "No medium has as many.")
    return {name: path for name, path in aliases.items() if name not in named}, dropped


@contextmanager
def running(image: Image, *words: str, timeout_s: float) -> Iterator[IO[bytes]]:
    """bsdtar's output while it runs; raises Invalid when it ends with an error. It is ended when the block is left."""
    program = shutil.which(PROGRAM, path=ENVIRONMENT["PATH"])
    if program is None:
        raise Conflict("bsdtar is needed to look into an ISO.", hint="Install libarchive-tools.")
    limit = shutil.which("prlimit", path=ENVIRONMENT["PATH"])
    limited = [limit, f"--as={MEMORY}", "--core=0", "--"] if limit else []
    with subprocess.Popen(
        [*limited, program, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    ) as process:
        said: list[bytes] = []
        assert process.stdout is not None  # noqa: S101 - both are pipes
        assert process.stderr is not None  # noqa: S101
        listener = threading.Thread(target=_listen, args=(process.stderr, said), daemon=True)
        listener.start()
        late = threading.Timer(timeout_s, process.kill)
        late.start()
        try:
            yield process.stdout
            process.wait(timeout_s)
        finally:
            late.cancel()
            process.kill()
            process.wait(10.0)
            listener.join(10.0)
    if process.returncode != 0:
        heard = b"".join(said).decode(errors="replace").strip().splitlines()
        why = [line for line in heard if DELAYED not in line] or heard or ["it did not end in time"]
        raise refused(f"{image.name} cannot be read: {why[-1][:200]}.", "Download it again.")


def _listen(stream: IO[bytes], said: list[bytes]) -> None:
    """Keep the last of what it says, and let it say the rest: a pipe that nobody reads would stop it."""
    for line in iter(lambda: stream.readline(MAX_LINE), b""):
        said[:] = [*said[-4:], line]


def _lines(out: IO[bytes], image: Image) -> Iterator[str]:
    while line := out.readline(MAX_LINE):
        if not line.endswith(b"\n"):
            raise refused(f"{image.name} holds a name of more than {MAX_LINE} bytes.", "No medium has one.")
        try:
            yield line[:-1].decode()
        except UnicodeDecodeError:
            raise refused(f"{image.name} holds a name that is no UTF-8: {line!r}.", "No medium has one.") from None


def _add(found: Listing, line: str, image: Image) -> None:
    said = _LINE.fullmatch(line)
    if said is None:
        raise refused(f"{image.name} holds what cannot be listed: {line[:200]!r}.", "No medium does.")
    kind, rest = said["kind"], said["rest"]
    if kind in _KINDS:
        raise refused(f"{rest[:200]} in {image.name} is {_KINDS[kind]}.", "Install media hold none.")
    if kind == "d" and rest.rstrip("/") in (".", ""):
        return
    target = ""
    if kind == "l":
        rest, arrow, target = rest.partition(LINK)
        if not arrow or LINK in target:
            raise refused(f"{image.name} holds an ambiguous link: {line[:200]!r}.", "No medium does.")
    elif kind == "-" and HARD in rest and rest.rpartition(HARD)[2].removeprefix("./") in found.files:
        rest, _, target = rest.rpartition(HARD)
    path = _plain(rest, image)
    if path in found.files or path in found.same or path in found.links or (kind != "d" and path in found.folders):
        raise refused(f"{path} is in {image.name} twice.", "It was tampered with; take the distribution's own.")
    match kind:
        case "d":
            found.folders.add(path)
        case "l":
            found.links[path] = target
        case _ if target:
            found.same[path] = target.removeprefix("./")
        case _:
            found.files[path] = int(said["size"])


def _plain(name: str, image: Image) -> str:
    path = name.removeprefix("./").removesuffix("/")
    try:
        check_path(path)
    except Invalid as error:
        raise refused(
            f"{image.name} holds a name that could lie outside its tree: {error.sentence}",
            "It was tampered with; take the distribution's own.",
        ) from None
    if path.count("/") >= MAX_DEPTH:
        raise refused(f"{path[:200]} in {image.name} lies too deep.", f"At most {MAX_DEPTH} folders are read.")
    return path


def _inside(path: str, target: str, image: Image) -> None:
    if target.startswith("/") or "\\" in target or _place(path, target).split("/", 1)[0] == "..":
        raise refused(
            f"{path} in {image.name} is a link that leaves the tree: {target[:200]}.",
            "It was tampered with; take the distribution's own.",
        )


def _place(link: str, target: str) -> str:
    """Where a link leads, from the root; begins with `..` where that is outside. Links on its way are not followed."""
    parts: list[str] = list(PurePosixPath(link).parent.parts)
    for part in target.split("/"):
        if part == "..":
            if not parts:
                return ".."
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts) or "."
