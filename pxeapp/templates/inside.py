"""The renderer's side: one confined process that renders what it is told, a template after the other.

It opens no file: each template it needs is asked for over the one socket that it has. What runs here may be hostile,
so whoever reads its answers takes them for nothing but text.
"""

from __future__ import annotations

import ast
import bisect
import codecs
import faulthandler
import importlib
import json
import math
import os
import signal
from collections.abc import Callable, Iterator, MutableMapping
from types import CodeType, GeneratorType
from typing import Any, TypeVar

from jinja2 import BaseLoader, Environment, Template, TemplateNotFound, TemplateSyntaxError, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pxeapp.templates import plain, wire
from pxeapp.templates.confinement import confine
from pxeapp.templates.language import FILTERS, OPTIONS, innermost, reason
from pxeapp.templates.limits import Limits

SOCKET = 0  # our only descriptor
# Loaded by Jinja2 and Python when a template first uses them, and by then no file can be opened.
LOADED_LATE = (
    "html",
    "jinja2.constants",
    "jinja2.debug",
    "linecache",
    "pprint",
    "textwrap",
    "traceback",
    "unicodedata",
)
ENCODINGS = ("ascii", "latin-1", "utf-8", "utf-16", "unicode-escape", "punycode", "idna")
T = TypeVar("T")


class Wrong(Exception):
    """What the answer says instead of a text: why, and where as far as it is known."""

    def __init__(self, why: str, path: str | None = None, line: int | None = None, *, over: bool = False) -> None:
        super().__init__(why)
        self.said = {"why": why, "path": path, "line": line, "over": over}


class Missing(Wrong):
    """There is no template of that name."""

    def __init__(self, name: str) -> None:
        super().__init__("")
        self.said = {"missing": name}


def serve(limits: Limits) -> None:
    """Answer until the socket is closed. Does not return; the process was forked for this and holds SOCKET alone."""
    faulthandler.register(signal.SIGPROF, file=SOCKET, all_threads=False)
    renderer = Renderer(limits)
    confine(memory=limits.memory, cpu_s=math.ceil(limits.cpu_s * limits.renders))
    while True:
        try:
            kind, payload = wire.read(SOCKET)
        except EOFError:
            os._exit(0)
        said = json.loads(payload)
        # At its end faulthandler writes to the socket where we are, in the template's own line numbers, even from
        # within a computation that hears no signal. Whoever reads it ends us.
        signal.setitimer(signal.ITIMER_PROF, limits.cpu_s)
        try:
            if kind == wire.CHECK:
                renderer.check(said["name"])
                answer = wire.TEXT, b""
            else:
                answer = wire.TEXT, renderer.render(said["name"], plain.unpack(said["variables"]), said["versions"])
        except Wrong as error:
            answer = wire.WRONG, json.dumps(error.said).encode()
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        wire.write(SOCKET, *answer)


class Renderer:
    """Compiled templates, and the rendering of one."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._loader = _Asking()
        self._environment = _Environment(
            loader=self._loader,
            cache_size=0,  # the loader keeps what is compiled, and asks each time whether it is still right
            optimized=False,
            finalize=_as_it_is,
            **OPTIONS,
        )
        self._environment.filters.update(FILTERS)
        for module in LOADED_LATE:
            importlib.import_module(module)
        for encoding in ENCODINGS:
            codecs.lookup(encoding)
        self._environment.from_string('{{ "a" }}').render()  # makes the lexer's tables

    def check(self, name: str) -> None:
        """Raises Wrong for a template that is not there or cannot be parsed."""
        self._loader.begin({})
        self._said_well(lambda: self._environment.get_template(name))

    def render(self, name: str, variables: dict[str, Any], versions: dict[str, str]) -> bytes:
        """The text; raises Wrong."""
        self._loader.begin(versions)
        return self._said_well(lambda: self._render(name, variables))

    def _render(self, name: str, variables: dict[str, Any]) -> bytes:
        template = self._environment.get_template(name)
        # Without Template.render(), which rewrites tracebacks: ours are right, and there may be no memory for more.
        produced = template.root_render_func(template.new_context(variables))
        pieces, left = [], self._limits.output
        for piece in produced:
            pieces.append(piece)
            left -= len(piece)
            if left < 0:
                raise Wrong(f"its text is longer than {self._limits.output} characters", *_where(produced), over=True)
        return "".join(pieces).encode()

    def _said_well(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except TemplateNotFound as error:
            raise Missing(str(error.name)) from None
        except TemplateSyntaxError as error:
            raise Wrong(str(error.message).rstrip("."), self._loader.last, error.lineno) from None
        except MemoryError as error:
            megabytes = self._limits.memory >> 20
            raise Wrong(f"it needs more than {megabytes} MiB of memory", *self._place(error), over=True) from None
        except Wrong:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a template's expression raises is the template's
            raise Wrong(reason(error), *self._place(error)) from None

    def _place(self, error: BaseException) -> tuple[str | None, int | None]:
        return innermost(error.__traceback__, self._loader.paths.__contains__) or (self._loader.last, None)


class _Asking(BaseLoader):
    """Asks for a template the first time that a rendering needs it; what did not change is not compiled again."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.last: str | None = None  # what is being compiled, where an error knows no place
        self._compiled: dict[str, tuple[str, Template]] = {}
        self._now: dict[str, Template] = {}

    def begin(self, versions: dict[str, str]) -> None:
        """A new rendering: files may have changed since the last one. `versions`: those that we need not ask for."""
        found = ((name, version, self._compiled.get(name)) for name, version in versions.items())
        self._now = {name: known[1] for name, version, known in found if known and known[0] == version}
        self.last = None

    def load(
        self,
        environment: Environment,
        name: str,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002
    ) -> Template:
        """Called by Jinja2 for each template, and each time that one is included."""
        if name not in self._now:
            self._now[name] = self._ask(environment, name, globals or {})
        return self._now[name]

    def _ask(self, environment: Environment, name: str, known: MutableMapping[str, Any]) -> Template:
        version, template = self._compiled.get(name, ("", None))
        wire.write(SOCKET, wire.NEED, json.dumps({"name": name, "have": version}).encode())
        kind, payload = wire.read(SOCKET)
        source = json.loads(payload)
        if kind != wire.SOURCE or source is None:
            raise TemplateNotFound(name)
        if template is not None and source["version"] == version:
            return template
        self.last = source["path"]
        self.paths.add(source["path"])
        code = environment.compile(source["text"], name, source["path"])
        template = environment.template_class.from_code(environment, code, known)
        self._compiled[name] = source["version"], template
        return template


class _Environment(ImmutableSandboxedEnvironment):
    """Compiles so that Python's own line numbers are the template's: whoever is stopped anywhere can say where."""

    def _compile(self, source: str, filename: str) -> CodeType:
        tree = ast.parse(source, filename)
        last = tree.body[-1]  # debug_info = '1=12&3=15': the template's lines and where their code begins
        assert isinstance(last, ast.Assign) and isinstance(last.value, ast.Constant)  # noqa: S101, PT018 - Jinja2's form
        pairs = [(int(ours), int(theirs)) for theirs, _, ours in map(_parted, str(last.value.value).split("&")) if ours]
        starts, lines = [start for start, _ in pairs], [line for _, line in pairs]
        for node in ast.walk(tree):
            if isinstance(node, (ast.stmt, ast.expr, ast.excepthandler, ast.arg, ast.keyword, ast.alias)):
                place = bisect.bisect_right(starts, node.lineno)
                node.lineno = node.end_lineno = lines[place - 1] if place else 1
                node.col_offset = node.end_col_offset = 0
        last.value.value = "&".join(f"{line}={line}" for line in sorted(set(lines)))
        return compile(tree, filename, "exec")


def _parted(pair: str) -> tuple[str, str, str]:
    return pair.partition("=")


@pass_context
def _as_it_is(_context: Context, value: Any) -> Any:
    """Because it asks for the context, Jinja2 computes no constant while it compiles, where errors have no line."""
    return value


def _where(produced: Iterator[str]) -> tuple[str, int] | tuple[None, None]:
    """Where a generator stands: in the innermost of the templates and blocks that include each other."""
    while True:
        if not isinstance(produced, GeneratorType) or produced.gi_frame is None:
            return None, None
        inner = produced.gi_yieldfrom or produced.gi_frame.f_locals.get("gen")
        if not isinstance(inner, GeneratorType) or inner.gi_frame is None:
            return produced.gi_code.co_filename, produced.gi_frame.f_lineno
        produced = inner
