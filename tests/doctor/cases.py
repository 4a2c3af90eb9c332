"""Which test sees which check be well, and which sees it ill: said at the test, and held against what it really saw."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pxeapp.doctor.examination import CHECKS
from pxeapp.doctor.finding import Finding, Status

LOOKS: dict[str, Callable[..., Finding]] = {check.name: check.look for check in CHECKS}


def sees(check: str, *statuses: Status, by: Callable[..., Finding] | None = None) -> Callable[[Any], Any]:
    """The test sees this check say each of these; `by` is the function that judges what the check itself gathers."""
    look = by or LOOKS[check]
    assert look.__module__ == LOOKS[check].__module__

    def decorate(test: Any) -> Any:
        @functools.wraps(test)
        def run(*arguments: Any, **words: Any) -> None:
            said = set()

            def noted(*about: Any, **more: Any) -> Finding:
                finding = look(*about, **more)
                said.add(finding.status)
                return finding

            with pytest.MonkeyPatch.context() as patch:
                for module in (vars(sys.modules[look.__module__]), sys.modules[test.__module__].__dict__):
                    for name in [name for name, value in module.items() if value is look]:
                        patch.setitem(module, name, noted)
                test(*arguments, **words)
            assert set(statuses) <= said, f"{check}: {sorted(statuses)} is claimed, {sorted(said)} was seen"

        run.sees = [*getattr(test, "sees", []), (check, statuses)]
        return run

    return decorate
