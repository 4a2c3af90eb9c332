"""What the templates of every installer are given so that their scripts find the disks."""

from __future__ import annotations

from typing import Any

from pxeapp.answers.spec import AnswerSpec
from pxeapp.answers.storage import resolver


def finding(spec: AnswerSpec) -> dict[str, Any]:
    """For boot/_disks.sh: what it is asked; for boot/_spare_disks.sh: what is done, and with which shell variables."""
    return {
        "resolve": resolver.calls(spec.storage, spec.system_disk, spec.data_disks, spec.keep_disks),
        "spare": resolver.spare(spec.storage),
        "found_disks": resolver.names(spec.storage),
    }
