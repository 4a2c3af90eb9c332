"""What the wheel carries beside the code: templates and pages, below pxeapp/_data, where templates/sources.py looks.

They are data that operators read and override, so they lie at the top of the repository. An editable install leaves
them there: a copy in site-packages would go stale with the first edit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = ("kickstarts", "preseeds", "boot", "roles", "web/templates", "web/static", "web/translations", "web/vendor")
BUILT = "web/vendor/version"  # what web/build.sh writes last


class WheelHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the data folders to a wheel; refuses to make one whose pages would lack their scripts."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects files."""
        if version == "editable":
            return
        root = Path(self.root)
        if not (root / BUILT).is_file():
            raise FileNotFoundError(f"{root / BUILT} is missing: run `make web` before the wheel is built.")
        build_data["force_include"].update({str(root / folder): f"pxeapp/_data/{folder}" for folder in FOLDERS})
