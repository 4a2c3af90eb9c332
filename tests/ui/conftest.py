"""The pages of the prepared appliance."""

from __future__ import annotations

from tests.api.conftest import admin, api, machine, prepared

__all__ = ["admin", "api", "machine", "prepared"]
