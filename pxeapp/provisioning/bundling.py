"""The tasks that make and import bundles, with what is none of the software's own: boot programs and templates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pxeapp.answers import site_templates
from pxeapp.boot import loaders
from pxeapp.errors import Invalid
from pxeapp.placing import place
from pxeapp.software.bundles import importing, making
from pxeapp.software.bundles.extras import Extras, Taken
from pxeapp.software.tasks.running import Run
from pxeapp.templates import Templates

LARGEST_TEMPLATE = 1024 * 1024


def make(run: Run) -> dict[str, Any]:
    """The task `bundle.create`."""
    return making.make(run, EXTRAS)


def import_(run: Run) -> dict[str, Any]:
    """The task `bundle.import`."""
    return importing.import_(run, EXTRAS)


class BootPrograms:
    """iPXE, shim, GRUB: those of the distribution's packages, which an appliance without them takes from a bundle."""

    def bring(self, run: Run) -> Mapping[str, Path | bytes]:
        """What this host serves."""
        return dict(loaders.find(imported=run.settings.data_dir / loaders.IMPORTED))

    def problems(self, run: Run, files: Mapping[str, Path]) -> list[str]:
        """Names that are none of a boot program."""
        del run
        return [f"{name} is no boot program that is served." for name in files if name not in loaders.names()]

    def take(self, run: Run, files: Mapping[str, Path], *, bundle: str, replace: bool) -> Taken:
        """Laid beside the system's own, which win: those are updated when a firmware's keys are revoked."""
        del bundle, replace
        folder = run.settings.data_dir / loaders.IMPORTED
        taken, same = [], []
        for name, source in files.items():
            target = folder / name
            if target.is_file() and target.read_bytes() == source.read_bytes():
                same.append(name)
                continue
            place(target, source.read_bytes())
            taken.append(name)
        return Taken(tuple(taken), tuple(same))


class SiteTemplates:
    """A site's own templates: taken as new versions; one that was edited here stays unless somebody says otherwise."""

    def bring(self, run: Run) -> Mapping[str, Path | bytes]:
        """As they count now."""
        templates = Templates(run.settings.templates_dir)
        found: dict[str, Path | bytes] = {}
        for path in templates.of_the_site():
            source = templates.find(path)
            if source is not None:
                found[path] = source.text().encode()
        return found

    def problems(self, run: Run, files: Mapping[str, Path]) -> list[str]:
        """What could not be saved."""
        templates, found = Templates(run.settings.templates_dir), []
        for path, text in sorted(files.items()):
            try:
                templates = site_templates.check(templates, path, _text(text))
            except Invalid as error:
                said = "; ".join(map(str, error.problems)) or error.sentence
                found.append(f"Template {path[:80]}: {said}")
        return found

    def take(self, run: Run, files: Mapping[str, Path], *, bundle: str, replace: bool) -> Taken:
        """One transaction for all."""
        templates = Templates(run.settings.templates_dir)
        taken, same, kept = [], [], []
        with run.database.write() as session:
            for path, content in sorted(files.items()):
                source, text = templates.find(path), _text(content)
                own = source.text() if templates.has_own(path) and source is not None else None
                if own == text:
                    same.append(path)
                elif own is not None and not replace:
                    kept.append(path)
                else:
                    site_templates.save(
                        session, templates, path, text, author=run.actor, comment=f"Bundle {bundle}", now=run.now()
                    )
                    taken.append(path)
        site_templates.bring(run.database, run.settings.templates_dir)
        return Taken(tuple(taken), tuple(same), tuple(kept))


EXTRAS = Extras(BootPrograms(), SiteTemplates())


def _text(path: Path) -> str:
    if path.stat().st_size > LARGEST_TEMPLATE:
        raise Invalid("It is larger than a template may be.")
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError:
        raise Invalid("It is not written in UTF-8.") from None
