"""What the operations of `/software` answer, for the OpenAPI document: see api/answers.py, which takes these in.

A new one of them: its model, its status where that is not 200, a permission, an example where it has a body, and a
stop in tests/api/tour.py.
"""

from __future__ import annotations

from pydantic import BaseModel

from pxeapp.api.software import bundles, channels, media, mirrors, repositories, snapshots, tasks, uploads, upstreams

ONE: dict[str, type[BaseModel]] = {
    **dict.fromkeys((f"upstreams.{what}" for what in ("show", "create", "change")), upstreams.UpstreamOut),
    "upstreams.show_statistics": upstreams.UpstreamStatisticsOut,
    "upstreams.seed": tasks.TaskOut,
    "upstreams.purge": upstreams.PurgeOut,
    "media.show": media.MediumOut,
    "media.create": tasks.TaskOut,
    **dict.fromkeys(("snapshots.show", "snapshots.create"), snapshots.SnapshotOut),
    "snapshots.difference": snapshots.DifferenceOut,
    "bundles.show": bundles.BundleOut,
    **dict.fromkeys(("bundles.create", "bundles.verify", "bundles.take"), tasks.TaskOut),
    "snapshots.verify": tasks.TaskOut,
    **dict.fromkeys(
        ("snapshots.promote", "channels.show", "channels.create", "channels.rollback"), channels.ChannelOut
    ),
    **dict.fromkeys((f"mirrors.{what}" for what in ("show", "create", "change")), mirrors.MirrorOut),
    **dict.fromkeys(("mirrors.sync", "mirrors.preview"), tasks.TaskOut),
    **dict.fromkeys((f"tasks.{what}" for what in ("show", "cancel", "retry", "clean")), tasks.TaskOut),
    **dict.fromkeys(("uploads.show", "uploads.put"), uploads.UploadOut),
    **dict.fromkeys((f"repositories.{what}" for what in ("show", "create", "change")), repositories.RepositoryOut),
    **dict.fromkeys((f"repositories.{what}" for what in ("edit", "publish", "add_key", "retire_key")), tasks.TaskOut),
}
MANY: dict[str, type[BaseModel]] = {
    "upstreams.listing": upstreams.UpstreamOut,
    "media.listing": media.MediumOut,
    "snapshots.listing": snapshots.SnapshotOut,
    "snapshots.list_uses": snapshots.UseOut,
    "bundles.listing": bundles.BundleOut,
    "channels.listing": channels.ChannelOut,
    "channels.history": channels.MoveOut,
    "mirrors.listing": mirrors.MirrorOut,
    "mirrors.list_definitions": mirrors.DefinitionOut,
    "tasks.listing": tasks.TaskOut,
    "repositories.listing": repositories.RepositoryOut,
    "repositories.packages": repositories.PackageFileOut,
    "repositories.list_keys": repositories.SigningKeyOut,
}
# Orders: answered with 202, the task, and in Location where to watch it.
TASKS = (
    "upstreams.seed", "snapshots.verify", "bundles.create", "bundles.verify", "bundles.take", "media.create",
    "tasks.retry", "tasks.clean", "mirrors.sync", "mirrors.preview", "repositories.edit", "repositories.publish",
    "repositories.add_key", "repositories.retire_key",
)  # fmt: skip
CREATES: tuple[str, ...] = (
    "snapshots.create",
    "channels.create",
    "mirrors.create",
    "upstreams.create",
    "repositories.create",
)  # answered with 201
# Blueprints whose show, create, change and replace carry an ETag.
EDITABLE: tuple[str, ...] = ("upstreams", "mirrors", "repositories")
