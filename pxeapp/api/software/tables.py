"""What the operations of `/software` answer, for the OpenAPI document: see api/answers.py, which takes these in.

A new one of them: its model, its status where that is not 200, a permission, an example where it has a body, and a
stop in tests/api/tour.py.
"""

from __future__ import annotations

from pydantic import BaseModel

from pxeapp.api.software import tasks, uploads

ONE: dict[str, type[BaseModel]] = {
    **dict.fromkeys((f"tasks.{what}" for what in ("show", "cancel", "retry", "clean")), tasks.TaskOut),
    **dict.fromkeys(("uploads.show", "uploads.put"), uploads.UploadOut),
}
MANY: dict[str, type[BaseModel]] = {
    "tasks.listing": tasks.TaskOut,
}
# Orders: answered with 202, the task, and in Location where to watch it.
TASKS = ("tasks.retry", "tasks.clean")
CREATES: tuple[str, ...] = ()  # answered with 201
EDITABLE: tuple[str, ...] = ()  # blueprints whose show, create, change and replace carry an ETag
