"""What is wrong with a rendered file: where it is, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pxeapp.errors import FieldProblem


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a file. `line` counts from 1 in the rendered file; 0: the file as a whole."""

    kind: str  # of the file: kickstart, preseed, script, ipxe ...
    line: int
    problem: str  # a sentence
    fix: str  # what to write instead
    template: str = ""  # which template that line comes from, where that can be told
    template_line: int = 0
    advice: bool = False  # works today, and is better written otherwise: said, but nothing is refused for it

    def __post_init__(self) -> None:
        # What is wrong is often a stranger's text: one line, and nothing that a terminal would obey.
        for name in ("problem", "fix"):
            said = getattr(self, name)
            if not said.isprintable():
                object.__setattr__(self, name, "".join(each if each.isprintable() else "?" for each in said))

    def __str__(self) -> str:
        return f"{self.kind}{self.place}: {self.problem} {self.fix}".strip()

    @property
    def place(self) -> str:
        """Where it is, in words."""
        place = f", line {self.line}" if self.line else ""
        if self.template:
            place += f" (from {self.template}" + (f", line {self.template_line})" if self.template_line else ")")
        return place

    def of(self, template: str, line: int) -> Fault:
        """The same, now that its template is known."""
        return replace(self, template=template, template_line=line)

    def as_problem(self) -> FieldProblem:
        """As an entry of a refusal, its place in words: a line of the file, and of its template where that is known."""
        return FieldProblem(f"{self.kind}{self.place}", self.problem, self.fix)
