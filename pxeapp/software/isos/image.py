"""What a file is by its first bytes: an ISO 9660 image that is whole, or else what it seems to be.

bsdtar reads nearly everything, so whatever is no ISO is turned away before it gets to see it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pxeapp.errors import FieldProblem, Invalid

SECTOR = 2048
DESCRIPTORS = 16  # the sector at which the volume descriptors begin
MAX_BYTES = 64 * 1024**3
# What begins a file that somebody took for an ISO, or that would be read as something else than one: (at, bytes, name).
OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x1f\x8b", "compressed with gzip"),
    (0, b"\xfd7zXZ\x00", "compressed with xz"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (0, b"BZh", "compressed with bzip2"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"QFI\xfb", "a qcow2 disk image"),
    (0, b"KDMV", "a VMware disk image"),
    (0, b"hsqs", "a squashfs file system"),
    (0, b"\xed\xab\xee\xdb", "an RPM package"),
    (0, b"!<arch>\n", "a Debian package"),
    (0, b"<!DOCTYPE", "a web page: was it downloaded from behind a login or a redirect?"),
    (0, b"<html", "a web page: was it downloaded from behind a login or a redirect?"),
    (0, b"-----BEGIN PGP", "a signature or a key"),
    (0x438, b"\x53\xef", "an ext file system"),
)


@dataclass(frozen=True, slots=True)
class Image:
    """An ISO 9660 image. `label` is its volume's, such as Rocky-9-4-x86_64-dvd; `size` is the file's, in bytes.

    `name` is what people call it: the file of an upload has a name that nobody knows.
    """

    path: Path
    name: str
    label: str
    size: int


def look(path: Path, name: str = "") -> Image:
    """The image; raises Invalid with what the file seems to be, or how much of it is missing."""
    name = name or path.name
    if not path.is_file():
        raise refused(f"{name} is not a file.", "Upload the ISO, or put it below incoming/ in the data directory.")
    size = path.stat().st_size
    with path.open("rb") as handle:
        begin = handle.read(SECTOR)
        handle.seek(DESCRIPTORS * SECTOR)
        volume = handle.read(SECTOR)
    for at, magic, what in OTHERS:
        if begin[at : at + len(magic)].lower() == magic.lower():
            raise refused(f"{name} is no ISO image: it seems to be {what}.", "Take the distribution's .iso file.")
    if volume[:6] != b"\x01CD001":
        seems = "empty" if not size else "too short for one" if len(volume) < SECTOR else "something else"
        raise refused(f"{name} is no ISO image: it is {seems}.", "Take the distribution's .iso file.")
    if size > MAX_BYTES:
        raise refused(f"{name} has {size} bytes, more than any medium.", f"At most {MAX_BYTES} are read.")
    says = int.from_bytes(volume[80:84], "little") * SECTOR
    if says > size:
        raise refused(
            f"{name} is cut off: its file system has {says} bytes, and {size} are here.",
            "Download it again and compare its checksum.",
        )
    return Image(path, name, volume[40:72].decode("ascii", "replace").strip(), size)


def refused(problem: str, fix: str, *, field: str = "iso") -> Invalid:
    """The error with which a whole medium is turned away."""
    return Invalid(f"The medium was not imported: {problem}", problems=[FieldProblem(field, problem, fix)], hint=fix)
