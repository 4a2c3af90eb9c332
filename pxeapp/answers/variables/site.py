"""Variables for what every shop has: proxies, users, certificates, files."""

from __future__ import annotations

from pxeapp.answers.variables.schema import Variable

SITE: tuple[Variable, ...] = ()
