"""This machine's own package sources, read: where our upstream mirrors come from when nobody names them.

Both spellings of sources.list(5) are read, the one-line one and deb822, and apt's own HTTP proxy. Nothing is changed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

APT_ETC = Path("/etc/apt")
APT_CONFIG_TIMEOUT_S = 10.0

# A suite's code name tells whose it is, whatever the path on a company mirror looks like.
CODENAMES: dict[str, str] = {
    **dict.fromkeys(("buster", "bullseye", "bookworm", "trixie", "forky", "sid"), "debian"),
    **dict.fromkeys(("oldstable", "stable", "testing", "unstable"), "debian"),
    **dict.fromkeys(("bionic", "focal", "jammy", "noble", "questing", "resolute"), "ubuntu"),
}
KEYRINGS = {"debian-archive-keyring": "debian", "ubuntu-archive-keyring": "ubuntu"}
# What only a distribution's own archive has; `download.docker.example/linux/debian bookworm stable` has not.
ARCHIVE_COMPONENTS = frozenset({"main", "universe"})

_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s*(?P<components>.*)$")
_PROXY_LINE = re.compile(
    r'^Acquire::(?P<scheme>https?)::Proxy(?:::(?P<host>[^\s"]+))? "(?P<url>[^"]*)";$', re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class AptSource:
    """One `deb` source as apt sees it; `signed_by` is a keyring's path, or empty."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""


@dataclass(frozen=True, slots=True)
class AptMirror:
    """A distribution's mirror that this machine itself uses: `debian`, `debian-security`, `ubuntu`, ..."""

    name: str
    url: str
    signed_by: str


def read(root: Path = APT_ETC) -> list[AptSource]:
    """Every enabled binary source of this machine, in apt's order; a file that cannot be read is left out."""
    sources: list[AptSource] = []
    files = [root / "sources.list", *sorted((root / "sources.list.d").glob("*"))]
    for path in files:
        parse = {".list": parse_one_line, ".sources": parse_deb822}.get(path.suffix)
        if parse is None:
            continue
        try:
            sources += parse(path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
    return sources


def parse_one_line(text: str) -> list[AptSource]:
    """The sources of a `.list` file."""
    sources = []
    for line in text.splitlines():
        match = _ONE_LINE.match(line.split("#", 1)[0].strip())
        if match is None:
            continue
        options = dict(word.partition("=")[::2] for word in (match["options"] or "").split())
        sources.append(
            AptSource(match["uri"], (match["suite"],), tuple(match["components"].split()), options.get("signed-by", ""))
        )
    return sources


def parse_deb822(text: str) -> list[AptSource]:
    """The sources of a `.sources` file; an embedded key is not a keyring path and is left out."""
    sources = []
    for stanza in stanzas(text):
        fields = {key.lower(): value for key, value in stanza.items()}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        signed_by = fields.get("signed-by", "").strip()
        sources += [
            AptSource(
                uri,
                tuple(fields.get("suites", "").split()),
                tuple(fields.get("components", "").split()),
                signed_by if signed_by.startswith("/") and "\n" not in signed_by else "",
            )
            for uri in fields.get("uris", "").split()
        ]
    return sources


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """The stanzas of a deb822 text (sources, Packages, dpkg's status); continuation lines keep their line breaks."""
    fields: dict[str, str] = {}
    key = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, key = {}, ""
        elif line[0] in " \t":
            if key:
                fields[key] += "\n" + line.strip()
        else:
            key, _, value = line.partition(":")
            fields[key] = value.strip()


def mirrors(sources: Iterable[AptSource]) -> dict[str, AptMirror]:
    """The distributions' own mirrors among the sources, by name.

    Third parties use the same code names (`bookworm stable`), so a source counts only with an archive's components;
    among several, one signed by the distribution's keyring wins over one that only looks like it.
    """
    found: dict[str, tuple[int, AptMirror]] = {}
    for source in sources:
        if urlsplit(source.uri).scheme not in ("http", "https") or not ARCHIVE_COMPONENTS & set(source.components):
            continue
        for suite in source.suites:
            codename, _, pocket = suite.replace("/", "-").partition("-")
            vendor = CODENAMES.get(codename)
            if vendor is None:
                continue
            name = (
                f"{vendor}-security"
                if pocket in ("security", "updates-security") or _is_old_security(suite)
                else vendor
            )
            rank = _doubt(source, vendor)
            if name not in found or rank < found[name][0]:
                found[name] = (rank, AptMirror(name, source.uri.rstrip("/"), source.signed_by))
    return {name: mirror for name, (_, mirror) in sorted(found.items())}


def _is_old_security(suite: str) -> bool:
    return suite.endswith("/updates")  # Debian before 11 wrote buster/updates


def _doubt(source: AptSource, vendor: str) -> int:
    """How doubtful it is that this source is the vendor's archive: 0 its keyring, 1 its name in the path, 2 neither."""
    if any(keyring in source.signed_by and whose == vendor for keyring, whose in KEYRINGS.items()):
        return 0
    return 1 if vendor in urlsplit(source.uri).path.split("/") else 2


def apt_config() -> str:
    """What `apt-config dump` says, or nothing where there is no apt (then there is no proxy of apt's either)."""
    program = shutil.which("apt-config")
    if program is None:
        return ""
    result = subprocess.run(
        [program, "dump"], capture_output=True, text=True, timeout=APT_CONFIG_TIMEOUT_S, check=False
    )
    return result.stdout if result.returncode == 0 else ""


def proxies(dump: str) -> Mapping[tuple[str, str], str]:
    """Proxies from `apt-config dump`, by (scheme, host); host is empty for the general one. `DIRECT` is kept."""
    found: dict[tuple[str, str], str] = {}
    for line in dump.splitlines():
        match = _PROXY_LINE.match(line.strip())
        if match is not None and match["url"]:
            found[match["scheme"].lower(), (match["host"] or "").lower()] = match["url"]
    return found


def proxy_for(url: str, dump: str) -> str:
    """The HTTP proxy that apt would use for this URL, or an empty string (apt.conf(5): a host's own setting wins)."""
    parts = urlsplit(url)
    known = proxies(dump)
    for key in ((parts.scheme, (parts.hostname or "").lower()), (parts.scheme, ""), ("http", "")):
        if key in known:
            return "" if known[key].upper() == "DIRECT" else known[key]
    return ""
