"""Strict, sandboxed Jinja2 over `kickstarts/`, `preseeds/` and `boot/`.

An undefined variable is an error that names template, line and variable. The site's own
template of the same name, in the data directory, wins over ours.
"""

from __future__ import annotations

import shlex
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import (
    BaseLoader,
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateNotFound,
    TemplateRuntimeError,
    TemplateSyntaxError,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pxeapp.errors import Invalid, PxeError

TEMPLATE_FOLDERS = ("kickstarts", "preseeds", "boot")


# What a template's own expressions can raise; a limit of the sandbox is an OverflowError.
WRONG_INSIDE = (
    TemplateRuntimeError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class TemplateError(Invalid):
    """A template cannot be rendered; the sentence names template and line."""

    title = "Template error"


def data_root() -> Path:
    """Where kickstarts/, preseeds/, boot/ and web/ lie: in the wheel beside the code, else in the checkout."""
    packaged = Path(__file__).parent / "_data"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent


class _SiteFirst(BaseLoader):
    """The site's template, else ours; one that the site adds or takes away later counts from the next rendering on."""

    def __init__(self, site: FileSystemLoader, ours: FileSystemLoader) -> None:
        self._site = site
        self._ours = ours

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        """Where Jinja2 asks; the third part says later whether what it keeps compiled is still right."""
        try:
            return self._site.get_source(environment, template)
        except TemplateNotFound:
            text, path, unchanged = self._ours.get_source(environment, template)
        return text, path, lambda: unchanged() and not self._site_has(environment, template)

    def _site_has(self, environment: Environment, template: str) -> bool:
        try:
            self._site.get_source(environment, template)
        except TemplateNotFound:
            return False
        return True


class Templates:
    """Renders templates named by folder and file, for example `kickstarts/base.ks`."""

    def __init__(
        self, override_dir: Path | None = None, filters: Mapping[str, Callable[..., Any]] | None = None
    ) -> None:
        ours = FileSystemLoader(data_root())
        loader = _SiteFirst(FileSystemLoader(override_dir), ours) if override_dir else ours
        self._environment = ImmutableSandboxedEnvironment(
            loader=loader,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,  # these are boot scripts and answer files; each output language escapes in its own way
        )
        # For a site's own templates: {{ spec.vars.motd | sh }} is one word of a shell command, whatever it holds.
        self._environment.filters["sh"] = lambda value: shlex.quote(str(value))
        self._environment.filters.update(filters or {})

    def first(self, *names: str) -> str:
        """The first of these templates that there is, a site's own included; the last one if there is none."""
        return next((name for name in names if self._exists(name)), names[-1])

    def _exists(self, name: str) -> bool:
        try:
            self._environment.get_template(name)
        except TemplateNotFound:
            return False
        except TemplateSyntaxError:
            return True  # it is there; rendering it will say what is wrong with it
        return True

    def render(self, name: str, **variables: Any) -> str:
        """The rendered text; raises TemplateError with template, line and reason."""
        if name.split("/", 1)[0] not in TEMPLATE_FOLDERS:
            raise PxeError(f"{name} is not below one of {', '.join(TEMPLATE_FOLDERS)}.")
        try:
            return self._environment.get_template(name).render(**variables)
        except TemplateNotFound as error:
            raise TemplateError(f"There is no template {error.name}.") from error
        except TemplateSyntaxError as error:
            raise TemplateError(f"{error.name or name}, line {error.lineno}: {error.message}.") from error
        except UnicodeDecodeError as error:
            raise TemplateError(f"{name} is not UTF-8.") from error
        except WRONG_INSIDE as error:
            template, line = _position(error, name)
            raise TemplateError(f"{template}, line {line}: {_reason(error)}.") from error


def _position(error: BaseException, name: str) -> tuple[str, int | str]:
    """The last frame that lies in a template; Jinja2 rewrites tracebacks so that they name template lines."""
    root = str(data_root())
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = frame.filename
        if any(f"/{folder}/" in path for folder in TEMPLATE_FOLDERS) and not path.endswith(".py"):
            return path.removeprefix(f"{root}/"), frame.lineno or "?"  # a site's own template with its whole path
    return name, "?"


def _reason(error: BaseException) -> str:
    said = str(error) or type(error).__name__
    return said.splitlines()[0].rstrip(".")
