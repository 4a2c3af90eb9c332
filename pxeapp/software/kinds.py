"""What the software worker can do: a kind of task, and where its work is. Loaded when the first one of it is there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from pxeapp.config import Settings
from pxeapp.db import Database
from pxeapp.software.tasks.running import Work

Regular = Callable[[Settings, Database, dt.datetime], None]

WORK: Mapping[str, str] = {
    "cache.seed": "pxeapp.provisioning.mirroring:seed",
    "media.import": "pxeapp.software.isos.importing:run",
    # What a mirror's roles come to is known above this package.
    "mirror.preview": "pxeapp.provisioning.mirroring:preview",
    "mirror.sync": "pxeapp.provisioning.mirroring:sync",
    "repository.publish": "pxeapp.software.repositories.local:publish",
    "repository.sign": "pxeapp.software.repositories.keys:sign",
    "software.clean": "pxeapp.software.content.garbage:clean",
    "snapshot.publish": "pxeapp.software.snapshots.publishing:publish_snapshot",
    "snapshot.withdraw": "pxeapp.software.snapshots.publishing:withdraw_snapshot",
    "snapshot.verify": "pxeapp.software.snapshots.verifying:verify",
    "channel.publish": "pxeapp.software.snapshots.publishing:publish_channel",
    "channel.withdraw": "pxeapp.software.snapshots.publishing:withdraw_channel",
    # They carry what is none of the software's own, so that their work begins above it.
    "bundle.create": "pxeapp.provisioning.bundling:make",
    "bundle.import": "pxeapp.provisioning.bundling:import_",
    "bundle.verify": "pxeapp.software.bundles.importing:verify",
}
# What is looked at every half minute, such as whether a mirror is due: it orders tasks, and does no long work itself.
REGULAR: Sequence[str] = (
    "pxeapp.software.isos.service:keep_served",
    "pxeapp.software.mirrors.schedule:look",
    "pxeapp.software.repositories.publishing:keep_served",
    "pxeapp.software.repositories.signing:keep_served",
    "pxeapp.software.snapshots.publishing:look",
)


def loaders() -> dict[str, Callable[[], Work]]:
    """The table as the runner takes it."""
    return {kind: _loader(place) for kind, place in WORK.items()}


def regular() -> list[Regular]:
    """What is looked at every half minute."""
    return [_named(place) for place in REGULAR]


def _loader(place: str) -> Callable[[], Work]:
    def load() -> Work:
        work: Work = _named(place)
        return work

    return load


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
