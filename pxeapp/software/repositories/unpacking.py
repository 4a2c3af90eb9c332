"""Compressed indices, unpacked within bounds: a small file must not become more than memory holds."""

from __future__ import annotations

import bz2
import lzma
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable

from pxeapp.errors import Invalid, Unavailable

MAX_UNPACKED = 1024 * 1024 * 1024  # the largest index there is (Debian's Contents) is half of that
PREFERRED = (".xz", ".gz", "")  # of apt's indices, the smallest first


def unpacked(content: bytes, path: str, *, name: str, limit: int = MAX_UNPACKED) -> bytes:
    """The content as the ending of its path says it is compressed; `name` is for the sentence. Raises Invalid."""
    unpack = _BY_ENDING.get(path.rpartition("/")[2].rpartition(".")[2].lower())
    if unpack is None:
        return content
    try:
        found = unpack(content, limit)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise Invalid(f"{name} cannot be unpacked: {error}.", hint="Fetch it again; it is damaged.") from error
    if len(found) > limit:
        raise Invalid(f"{name} unpacks to more than {limit // 1024**2} MiB.", hint="No index is that large.")
    return found


def _gz(content: bytes, limit: int) -> bytes:
    found = b""
    while content and len(found) <= limit:  # files may be joined
        decoder = zlib.decompressobj(wbits=31)
        found += decoder.decompress(content, limit + 1 - len(found))
        if not decoder.eof and not decoder.unconsumed_tail:
            raise EOFError("it ends too early")
        content = decoder.unused_data.lstrip(b"\0")
    return found


def _xz(content: bytes, limit: int) -> bytes:
    return _streams(content, limit, lambda: lzma.LZMADecompressor(memlimit=512 * 1024 * 1024))


def _bz2(content: bytes, limit: int) -> bytes:
    return _streams(content, limit, bz2.BZ2Decompressor)


def _streams(
    content: bytes, limit: int, decoder_of: Callable[[], lzma.LZMADecompressor | bz2.BZ2Decompressor]
) -> bytes:
    found = []
    length = 0
    while content.lstrip(b"\0"):  # files may be joined
        decoder = decoder_of()
        while not decoder.eof and length <= limit:
            found.append(decoder.decompress(content, limit + 1 - length))
            content = b""
            length += len(found[-1])
            if decoder.needs_input and not decoder.eof:
                raise EOFError("it ends too early")
        content = decoder.unused_data if decoder.eof else b""
    return b"".join(found)


def _zst(content: bytes, limit: int) -> bytes:
    """By its own program: Python has no zstd before 3.14."""
    program = shutil.which("zstd")
    if program is None:
        raise Unavailable("zstd is not installed, and this index is compressed with it.", hint="Install zstd.")
    with tempfile.TemporaryFile() as packed:
        packed.write(content)
        packed.seek(0)
        with subprocess.Popen(
            [program, "-dcq", "--memory=512MB"], stdin=packed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            found = process.stdout.read(limit + 1)
            if len(found) <= limit and process.wait() != 0:
                raise EOFError("zstd cannot read it")
            process.kill()
    return found


_BY_ENDING: dict[str, Callable[[bytes, int], bytes]] = {"gz": _gz, "xz": _xz, "bz2": _bz2, "zst": _zst, "lzma": _xz}
