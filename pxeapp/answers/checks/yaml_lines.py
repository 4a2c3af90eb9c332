"""A YAML document as plain values, with the line that each stands in; what only a parser would forgive is a fault."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]
_PLAIN = tuple(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq"))
DEEPEST = 30


class NotYaml(Exception):
    """It cannot be read; `line` is where."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem


@dataclass(slots=True)
class Document:
    """The values, the line of each by its path, and what is odd about the text itself: (line, problem, fix)."""

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    odd: list[tuple[int, str, str]] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """Where this stands, or the nearest thing around it that there is."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read(text: str) -> Document:
    """Read it as YAML 1.1, as cloud-init does; raises NotYaml."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        found = Document()
        if node is not None:
            found.value = _value(loader, node, (), found)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        said = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        raise NotYaml(mark.line + 1 if mark else 1, str(said)) from error
    finally:
        loader.dispose()
    return found


def _value(loader: yaml.SafeLoader, node: yaml.Node, path: Path, found: Document) -> Any:
    line = node.start_mark.line + 1
    found.lines.setdefault(path, line)
    if len(path) > DEEPEST:
        raise NotYaml(line, f"it is nested more than {DEEPEST} deep")
    if node.tag not in _PLAIN:
        kind = node.tag.rpartition(":")[2]
        found.odd.append((line, f"{_shown(node)} is taken for a {kind}.", "Put it in quotes."))
    if isinstance(node, yaml.MappingNode):
        return dict(_entries(loader, node, path, found))
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, each, (*path, number), found) for number, each in enumerate(node.value)]
    if node.tag in _PLAIN:
        return loader.construct_object(node)
    return node.value


def _entries(loader: yaml.SafeLoader, node: yaml.MappingNode, path: Path, found: Document) -> Iterator[tuple[str, Any]]:
    seen: set[str] = set()
    for key, value in node.value:
        line = key.start_mark.line + 1
        name = str(key.value)
        if not isinstance(key, yaml.ScalarNode) or key.tag != _PLAIN[0]:
            found.odd.append((line, f"The key {_shown(key)} is not a text.", "Put it in quotes."))
        if name in seen:
            found.odd.append((line, f"{name} stands twice; the last one would win.", "Leave one of them."))
        seen.add(name)
        found.lines[*path, name] = line
        yield name, _value(loader, value, (*path, name), found)


def _shown(node: yaml.Node) -> str:
    return repr(str(node.value)[:40]) if isinstance(node, yaml.ScalarNode) else "this"
