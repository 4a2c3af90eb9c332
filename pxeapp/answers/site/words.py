"""The words that site settings are made of, each with what is wrong with another one and how to mend it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from netaddr import AddrFormatError, IPAddress, IPNetwork
from pydantic import AfterValidator, BaseModel, ConfigDict, StrictInt, StrictStr, ValidationError

from pxeapp.errors import FieldProblem

SHOWN = 60  # of a value that is refused
PORTS = range(1, 65536)


class Unfit(ValueError):
    """What is wrong with a value and what to write instead, through pydantic and back."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem} {fix}")
        self.problem = problem
        self.fix = fix


class Part(BaseModel):
    """One setting, or a part of it: never changed once it is made; what it does not know is refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


def matching(pattern: str, fix: str, *, secret: bool = False) -> AfterValidator:
    """Accepts what matches as a whole; a secret is not repeated."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise Unfit(f"{'The value' if secret else repr(value[:SHOWN])} is not possible.", fix)
        return value

    return AfterValidator(check)


def once(key: str) -> AfterValidator:
    """Accepts a list in which no two have the same name."""

    def check(value: tuple[Any, ...]) -> tuple[Any, ...]:
        names = [getattr(each, key) for each in value]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise Unfit(f"names {twice!r} twice.", f"Give each one a {key} of its own.")
        return value

    return AfterValidator(check)


def address(value: str) -> str:
    """An IPv4 or IPv6 address in the one spelling that every installer reads."""
    try:
        if str(IPAddress(value)) == value:
            return value
    except (AddrFormatError, ValueError):
        pass
    raise Unfit(f"{value[:SHOWN]!r} is not an address.", "Write it as 10.0.0.7.")


def _host(value: str) -> str:
    if HOST_NAME.fullmatch(value) and not re.fullmatch(r"[0-9.]+", value):
        return value
    try:
        return address(value)
    except Unfit:
        raise Unfit(f"{value[:SHOWN]!r} is no host.", "Write a name such as ntp.example.org, or an address.") from None


def _direct(value: str) -> str:
    """What is reached without the proxy: a host, .a.domain, or a network."""
    if HOST_NAME.fullmatch(value.removeprefix(".")):
        return value
    try:
        return str(IPNetwork(value)) if "/" in value else address(value)
    except (AddrFormatError, ValueError):
        fix = "Write a host, .example.org for all of a domain, or a network such as 10.0.0.0/8."
        raise Unfit(f"{value[:SHOWN]!r} is not possible.", fix) from None


def _network(value: str) -> str:
    try:
        return str(IPNetwork(value).cidr) if "/" in value else address(value)
    except (AddrFormatError, ValueError):
        fix = "Write an address, or a network as 10.0.0.0/24."
        raise Unfit(f"{value[:SHOWN]!r} is no network.", fix) from None


def _port(value: int) -> int:
    if value not in PORTS:
        raise Unfit(f"{value} is no port.", "Use 1 to 65535.")
    return value


_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOST_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_PLACE = r"[A-Za-z0-9.:\[\]_-]+"
Host = Annotated[StrictStr, AfterValidator(_host)]
Direct = Annotated[StrictStr, AfterValidator(_direct)]
Network = Annotated[StrictStr, AfterValidator(_network)]
Port = Annotated[StrictInt, AfterValidator(_port)]
Url = Annotated[
    StrictStr, matching(rf"https?://{_PLACE}(/[A-Za-z0-9._~+:@%=&?/$-]{{0,500}})?", "Write it as http://host/path.")
]
# Its user and password stand in it; both stand in shell, apt and dnf files, so they are what all of these leave alone.
ProxyUrl = Annotated[
    StrictStr,
    matching(
        rf"https?://([A-Za-z0-9._~-]{{1,64}}(:[A-Za-z0-9._~-]{{1,128}})?@)?{_PLACE}/?",
        "Write it as http://proxy.example.org:3128.",
        secret=True,
    ),
]
Name = Annotated[
    StrictStr, matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "Use at most 63 letters, digits, dots and dashes.")
]
Words = Annotated[
    StrictStr,
    matching(r"([A-Za-z0-9.][A-Za-z0-9._+/-]{0,63}( [A-Za-z0-9.][A-Za-z0-9._+/-]{0,63}){0,15})?", "Write words."),
]
Line = Annotated[StrictStr, matching(r"[ -~]{0,255}", "Write one line of at most 255 ASCII characters.")]
KernelArg = Annotated[
    StrictStr,
    matching(
        r"(?!-)[A-Za-z0-9._/:@%+,-]{1,128}(=[A-Za-z0-9._/:@%+,=*-]{0,255})?", "Write each one as name or name=value."
    ),
]
Module = Annotated[StrictStr, matching(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}", "Write a module's name, as nouveau.")]
PackageName = Annotated[
    StrictStr, matching(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,127}", "Write a package's name without a version.")
]
Account = Annotated[
    StrictStr, matching(r"[a-z_][a-z0-9_-]{0,30}", "Use at most 31 of a-z, 0-9, _ and -, a letter first.")
]
AbsolutePath = Annotated[
    StrictStr, matching(r"(/[A-Za-z0-9._@+:,=~-][A-Za-z0-9._@+:,=~ -]{0,253})+", "Write it as /etc/motd, in ASCII.")
]
Crypt = Annotated[
    StrictStr,
    matching(r"\$(1|5|6|y|2[aby])\$[A-Za-z0-9./$=,]{8,250}", "Make one with: openssl passwd -6", secret=True),
]
SshKey = Annotated[
    StrictStr,
    matching(
        r"(ssh-(ed25519|rsa)|ecdsa-sha2-nistp[0-9]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/=]{20,4000}"
        r"( [A-Za-z0-9@._+-]{1,200})?",
        "Paste the public key: type, key, comment.",
    ),
]


def shorthand(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Turns a setting's short form into its long one: `proxy: http://...` into `proxy: {url: http://...}`."""

    def whole(value: Any) -> Any:
        return value if isinstance(value, (dict, BaseModel)) else make(value)

    return whole


def problems(error: ValidationError, where: str = "") -> list[FieldProblem]:
    """pydantic's findings in our words. What came in is not repeated: it may be a secret."""
    found = []
    for item in error.errors(include_input=False):
        place = ".".join([*([where] if where else []), *(str(part) for part in item["loc"])])
        found.append(FieldProblem(place[:120], *_in_words(item)))
    return found


def _in_words(item: Any) -> tuple[str, str]:
    kind, context = item["type"], item.get("ctx", {})
    if isinstance(unfit := context.get("error"), Unfit):
        return unfit.problem, unfit.fix
    if kind == "literal_error":
        return "is not possible.", f"Use {context['expected']}."
    if kind in ("too_long", "string_too_long"):
        return "is too long.", f"Give at most {context['max_length']}."
    return WORDS.get(kind, (f"{str(item['msg']).removesuffix('.')}.", "Correct it or leave it out."))


WORDS = {
    "extra_forbidden": ("is not known.", "Check its spelling or leave it out."),
    "missing": ("is missing.", "Add it."),
    "string_type": ("must be a text.", "Put it in quotes."),
    "int_type": ("must be a whole number.", "Write only digits."),
    "bool_type": ("must be true or false.", "Write true or false."),
    "tuple_type": ("must be a list.", "Write [...]."),
    "dict_type": ("must be an object.", 'Write {"...": ...}.'),
    "model_type": ("must be an object.", 'Write {"...": ...}.'),
    "model_attributes_type": ("must be an object.", 'Write {"...": ...}.'),
}
