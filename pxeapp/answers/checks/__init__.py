"""Validation of rendered answer files: `check(kind, text, spec)` finds what an installer would stumble over.

A checker is a pure function of the text, of the release in the specification, and of what is `Known` besides: a
verdict is kept for all machines whose files differ only in names and addresses (see provisioning/checking.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pxeapp.answers.checks import autoinstall, kickstart, preseed, scripts
from pxeapp.answers.checks.known import Known
from pxeapp.answers.spec import AnswerSpec
from pxeapp.faults import Fault

__all__ = ["CHECKERS", "Checker", "Fault", "Known", "check"]

Checker = Callable[[str, AnswerSpec, Known], Iterable[Fault]]

# By kind of file, as answers/render.py names them. A test sees to it that each has one.
CHECKERS: dict[str, Checker] = {
    "kickstart": kickstart.check,
    "preseed": preseed.check,
    "script": scripts.check,
    "user-data": autoinstall.check,
    "meta-data": autoinstall.meta_data,
    "vendor-data": autoinstall.vendor_data,
    "network-config": autoinstall.network_config,
}


def check(kind: str, text: str, spec: AnswerSpec, known: Known | None = None) -> list[Fault]:
    """Every fault of one rendered file, in the order of its lines."""
    checker = CHECKERS.get(kind)
    found = checker(text, spec, known or Known()) if checker is not None else ()
    return sorted(found, key=lambda fault: fault.line)
