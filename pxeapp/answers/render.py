"""Which answer file for which installer, and the same with its secrets masked, for operators' eyes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from pxeapp.answers import autoinstall, kickstart, preseed
from pxeapp.answers.hiding import spellings
from pxeapp.answers.spec import AnswerSpec
from pxeapp.errors import NotFound
from pxeapp.templates import Templates

Renderer = Callable[[AnswerSpec, Templates], str]

RENDERERS: dict[tuple[str, str], Renderer] = {
    ("kickstart", "kickstart"): kickstart.render,
    ("preseed", "preseed"): preseed.render,
    ("preseed", "script"): preseed.script,
    ("autoinstall", "user-data"): autoinstall.user_data,
    ("autoinstall", "meta-data"): autoinstall.meta_data,
    ("autoinstall", "vendor-data"): autoinstall.vendor_data,
    ("autoinstall", "network-config"): autoinstall.network_config,
    ("autoinstall", "script"): autoinstall.script,
}
KERNEL_ARGS: dict[str, Callable[[AnswerSpec], str]] = {
    "kickstart": kickstart.kernel_args,
    "preseed": preseed.kernel_args,
    "autoinstall": autoinstall.kernel_args,
}
MASK = "***"
_TOKEN = re.compile(r"(/[ac]/)[A-Za-z0-9_-]{20,}")


def kinds(installer: str) -> list[str]:
    """The files that a release with this installer is given."""
    return [kind for (reads, kind) in RENDERERS if reads == installer]


def render(kind: str, spec: AnswerSpec, templates: Templates) -> str:
    """One answer file; raises NotFound for a kind that this release's installer does not read."""
    renderer = RENDERERS.get((spec.release.installer, kind))
    if renderer is None:
        given = ", ".join(kinds(spec.release.installer))
        raise NotFound(f"{spec.release.name} is given no {kind}.", hint=f"It is given: {given}.")
    return renderer(spec, templates)


def kernel_args(spec: AnswerSpec) -> str:
    """The installer's kernel command line."""
    return KERNEL_ARGS[spec.release.installer](spec)


def secrets(spec: AnswerSpec) -> tuple[str, ...]:
    """What must not be shown, tokens aside, in every spelling: the longest first, since one may hold another."""
    return spellings([*spec.secrets.values(), spec.root_password_hash, *spec.site.secrets])


def mask(text: str, spec: AnswerSpec, hide: Callable[[str], str] = lambda _secret: MASK) -> str:
    """The text with tokens and secrets replaced: what an operator may see and paste into a ticket.

    `hide` says what stands for a secret; where two texts are compared, a changed one must not look the same.
    """
    for url in (spec.answer_url, spec.callback_url):
        place, _, _token = url.rpartition("/")
        text = text.replace(url, f"{place}/{MASK}")
    return mask_values(text, secrets(spec), hide)


def mask_values(text: str, values: Iterable[str], hide: Callable[[str], str] = lambda _secret: MASK) -> str:
    """The same where the secrets are known and the specification is not: whatever looks like a token is one."""
    masked = _TOKEN.sub(rf"\1{MASK}", text)
    for secret in values:
        masked = masked.replace(secret, hide(secret))
    return masked
