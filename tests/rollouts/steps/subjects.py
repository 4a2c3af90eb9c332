"""A machine as a step sees it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pxeapp.rollouts.port import Subject
from pxeapp.rollouts.spec import Spec

T0 = dt.datetime(2026, 11, 24, 2, 0, tzinfo=dt.UTC)


def subject(step: str, machine_id: int = 1, **more: Any) -> Subject:
    """node1 of rollout 7, at this step for the first time; `more` is of the spec, or of the subject."""
    own = {key: more.pop(key) for key in ("tries", "earlier", "began_at", "release", "role") if key in more}
    said: dict[str, Any] = {"name": "x", "machines": {"names": ["node1"]}, "action": {"reboot": {}}, **more}
    fixed: dict[str, Any] = {"tries": 1, "began_at": T0, "release": "rocky-9", "role": "compute", **own}
    return Subject(
        rollout_id=7, member_id=3, machine_id=machine_id, machine="node1", cluster=None, step=step,
        spec=Spec.model_validate(said), **fixed,
    )  # fmt: skip
