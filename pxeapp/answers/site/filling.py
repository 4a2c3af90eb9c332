"""Texts that come from a template of the site's: rendered for the machine before they go where every text goes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from pxeapp.answers.site.contents import LIMIT, File, Script
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.templates import Templates

if TYPE_CHECKING:
    from pxeapp.answers.spec import AnswerSpec

_Text = TypeVar("_Text", File, Script)


def filled(spec: AnswerSpec, templates: Templates) -> AnswerSpec:
    """The specification with every text known; raises Invalid with the template, its line and what is wrong."""
    if not spec.site.templates:
        return spec

    def texts(field: str, said: tuple[_Text, ...]) -> tuple[_Text, ...]:
        return tuple(_filled(f"vars.{field}.{number}", each, spec, templates) for number, each in enumerate(said))

    site = spec.site
    return replace(
        spec,
        site=site.model_copy(
            update={
                "files": texts("files", site.files),
                "pre_scripts": texts("pre_scripts", site.pre_scripts),
                "post_scripts": texts("post_scripts", site.post_scripts),
            }
        ),
    )


def _filled(where: str, said: _Text, spec: AnswerSpec, templates: Templates) -> _Text:
    if said.template is None:
        return said
    text = templates.render(said.template, spec=spec)
    if len(text.encode()) > LIMIT:
        problem = FieldProblem(f"{where}.template", f"makes a text of more than {LIMIT // 1024} KiB.", "Shorten it.")
        raise Invalid(f"{said.template} cannot be used.", problems=[problem])
    return said.model_copy(update={"content": text, "template": None})
