"""What is the same for our templates and a site's own: folders, filters, and how what is wrong is said."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from types import TracebackType
from typing import Any

from jinja2 import StrictUndefined, TemplateRuntimeError

from pxeapp.errors import Invalid

TEMPLATE_FOLDERS = ("kickstarts", "preseeds", "boot", "roles")

# autoescape is off: these are boot scripts and answer files, and each output language escapes in its own way.
OPTIONS: dict[str, Any] = {
    "undefined": StrictUndefined,
    "trim_blocks": True,
    "lstrip_blocks": True,
    "keep_trailing_newline": True,
    "autoescape": False,
}

FILTERS: dict[str, Callable[..., Any]] = {
    # {{ spec.vars.motd | sh }} is one word of a shell command, whatever it holds.
    "sh": lambda value: shlex.quote(str(value)),
    # {{ vars.region | ini }} is a value for OpenStack's configuration files, where $name stands for another option.
    "ini": lambda value: str(value).replace("$", "$$"),
}

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


def innermost(traceback: TracebackType | None, is_template: Callable[[str], bool]) -> tuple[str, int] | None:
    """The last place in a traceback that lies in a template. No file is read: the renderer could open none."""
    found = None
    while traceback is not None:
        path = traceback.tb_frame.f_code.co_filename
        if is_template(path):
            found = (path, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def reason(error: BaseException) -> str:
    """What an error says, on one line and without the full stop that our sentence brings."""
    said = str(error) or type(error).__name__
    return said.splitlines()[0].rstrip(".")
