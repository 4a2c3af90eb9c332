"""What values of an answer file look like: checked when they are saved, and again when a file is made of them."""

from __future__ import annotations

import re

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
HOSTNAME = re.compile(_LABEL)
DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*|")
PACKAGE = re.compile(r"[-@]?\^?[A-Za-z0-9][A-Za-z0-9+._:-]{0,127}")
DEBIAN_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{0,127}(:[a-z0-9]{1,20})?")
SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]{0,127}")
DISK = re.compile(r"disk/by-(path|id)/[A-Za-z0-9._:+-]+|[a-z0-9]{2,32}")
# Ours: they stand in shell commands too, so they have no query.
NODE_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~-]+)*")
URL = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~+:@%=&?/-]*)?")
ISO = re.compile(r"http://\S+\.iso")  # casper has no certificates, and passes over a url= that does not end so
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,62}")
_PART = r"[A-Za-z0-9.][A-Za-z0-9._+/-]{0,63}"
WORDS = re.compile(rf"({_PART}( {_PART}){{0,15}})?")
ZONE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]{0,31}(/[A-Za-z0-9_+-]{1,31}){0,2}")
LOCALE = re.compile(r"[A-Za-z]{1,3}(_[A-Z]{2})?(\.[A-Za-z0-9-]+)?")
CRYPT = re.compile(r"\$(1|5|6|y|2[aby])\$[A-Za-z0-9./$=,]{8,250}")
SSH_KEY = re.compile(
    r"(ssh-(ed25519|rsa)|ecdsa-sha2-nistp[0-9]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/=]{20,4000}( [A-Za-z0-9@._+-]{1,200})?"
)
# An IPv4 address as everybody writes it; what does not look like this is left to netaddr, which takes its time.
_PART_OF_4 = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
PLAIN_ADDRESS = re.compile(rf"({_PART_OF_4}\.){{3}}{_PART_OF_4}")
INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}")


def package(family: str) -> re.Pattern[str]:
    """What a package of this family is called: apt knows no groups and no capitals."""
    return PACKAGE if family == "el" else DEBIAN_PACKAGE
