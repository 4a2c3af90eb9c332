"""Strict Jinja2 over `kickstarts/`, `preseeds/`, `boot/` and `roles/`.

An undefined variable is an error that names template, line and variable. The site's own template of the same name, in
the data directory, wins over ours. Ours are rendered here; whatever a site wrote is rendered in a process that may
use little time and memory and can reach nothing (see pool.py).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, Template, TemplateNotFound, TemplateSyntaxError

from pxeapp.errors import PxeError, Unavailable
from pxeapp.templates.language import FILTERS, OPTIONS, TEMPLATE_FOLDERS, WRONG_INSIDE, TemplateError, innermost, reason
from pxeapp.templates.places import place
from pxeapp.templates.pool import Pool, shared
from pxeapp.templates.sources import Source, Sources, data_root
from pxeapp.templates.versions import record, record_ours

__all__ = ["TEMPLATE_FOLDERS", "TemplateError", "Templates", "data_root"]
ALONE_S = 30.0
log = logging.getLogger(__name__)


class Templates:
    """Renders templates named by folder and file, for example `kickstarts/base.ks`."""

    def __init__(self, override_dir: Path | None = None, *, pool: Pool | None = None) -> None:
        self._sources = Sources(override_dir)
        self._pool = pool
        self._left_alone: dict[str, float] = {}
        # Without a sandbox, which would look at each of a hundred attributes: ours are as much our code as this file.
        # And they do not change while we run, so that the disk need not be asked for each part of each answer file.
        kept: dict[str, Any] = {"auto_reload": False, "cache_size": -1}
        self._ours = _Ours(loader=_Once(data_root()), **kept, **OPTIONS)
        self._ours.filters.update(FILTERS)

    def proposing(self, proposed: Mapping[str, str | None]) -> Templates:
        """The same as if the site had saved these templates, or deleted one (None); nothing is written.

        They are rendered where a site's are, confined: whoever proposes one is trusted no more than whoever saved one.
        """
        other = Templates(pool=self._pool)
        other._sources, other._ours = self._sources.proposing(proposed), self._ours
        return other

    def is_sites_own(self, name: str) -> bool:
        """Whether rendering it runs anything that the site wrote or that is proposed."""
        return self._sources.is_sites_own(name)

    def first(self, *names: str) -> str:
        """The first of these templates that there is, a site's own included; the last one if there is none."""
        return next((name for name in names if self._sources.has(name)), names[-1])

    def find(self, name: str) -> Source | None:
        """The file of this name that counts, for what is read as data and not rendered: the site's own, else ours."""
        source = self._sources.find(name)
        if source is not None:
            record([(name, source)])
        return source

    def place(self, line: str, names: Iterable[str]) -> tuple[str, int] | None:
        """Which of these templates a line of a rendered file comes from, and from which of its lines."""
        return place(line, names, self._sources)

    def render(self, name: str, **variables: Any) -> str:
        """The rendered text; raises TemplateError with template, line and reason."""
        if name.split("/", 1)[0] not in TEMPLATE_FOLDERS:
            raise PxeError(f"{name} is not below one of {', '.join(TEMPLATE_FOLDERS)}.")
        if self._sources.is_sites_own(name):
            return (self._pool or shared()).render(name, variables, self._sources)
        return self._render_ours(name, variables)

    def render_or_ours(self, name: str, **variables: Any) -> str:
        """For what a machine at rest is given: where the site's template cannot be rendered, this is said and ours is.

        A mistake in one file must not keep every machine of the rack from its own disk. One that failed is left alone
        for a while, so that a thousand machines that boot do not wait for it a thousand times.
        """
        if self._left_alone.get(name, 0.0) < time.monotonic():
            try:
                return self.render(name, **variables)
            except (TemplateError, Unavailable) as error:
                log.error("Machines are given our %s for the next %g s: %s", name, ALONE_S, error)  # noqa: TRY400
                self._left_alone[name] = time.monotonic() + ALONE_S
        return self._render_ours(name, variables)

    def has_own(self, name: str) -> bool:
        """Whether the site has one of this name, which then counts instead of ours."""
        return self._sources.has_own(name)

    def of_the_site(self) -> list[str]:
        """The names of all templates that the site has, those included that only others use."""
        return self._sources.of_the_site()

    def check(self, name: str) -> None:
        """Raises TemplateError for a site's template that cannot even be read and parsed; nothing is rendered."""
        (self._pool or shared()).check(name, self._sources)

    def _render_ours(self, name: str, variables: dict[str, Any]) -> str:
        record_ours(name)
        try:
            return str(self._ours.get_template(name).render(**variables))
        except TemplateNotFound as error:
            raise TemplateError(f"There is no template {error.name}.") from error
        except TemplateSyntaxError as error:
            raise TemplateError(f"{error.name or name}, line {error.lineno}: {error.message}.") from error
        except WRONG_INSIDE as error:
            root = f"{data_root()}/"
            path, line = innermost(error.__traceback__, lambda path: _is_ours(path, root)) or (name, "?")
            raise TemplateError(f"{path.removeprefix(root)}, line {line}: {reason(error)}.") from error


class _Once(FileSystemLoader):
    """Compiles each template once, however many threads want it at the same moment.

    When forty racks boot just after a start, each thread would compile the same thirty templates: seconds of it.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._compiling = threading.Lock()
        self._compiled: dict[str, Template] = {}

    def load(
        self,
        environment: Environment,
        name: str,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 - Jinja2's
    ) -> Template:
        """Called by the environment for what it does not have yet."""
        with self._compiling:
            if name not in self._compiled:
                self._compiled[name] = super().load(environment, name, globals)
            return self._compiled[name]


class _Ours(Environment):
    """Jinja2's, whose globals are one dictionary: as layers they would be gone through in Python for every include."""

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """No template of ours is given globals of its own."""
        return {**self.globals, **d} if d else self.globals


def _is_ours(path: str, root: str) -> bool:
    return path.removeprefix(root).split("/", 1)[0] in TEMPLATE_FOLDERS and not path.endswith(".py")
