"""The site's own templates: a mistake in one is found here, and not by the first machine that needs it."""

from __future__ import annotations

from pxeapp.doctor.finding import Finding, Patient, fail, ok, warn
from pxeapp.templates import TEMPLATE_FOLDERS, TemplateError, Templates
from pxeapp.templates.renderers import Busy

MOST_SHOWN = 5


def templates(patient: Patient) -> Finding:
    """Each can be read and parsed; what it says of machines only rendering can tell."""
    folder = patient.settings.templates_dir
    if not folder.is_dir():
        return ok(f"There are no templates of the site's own ({folder}).")
    known = Templates(folder)
    astray = sorted(each.name for each in folder.iterdir() if each.name not in TEMPLATE_FOLDERS)
    names = known.of_the_site()
    troubles = []
    for name in names:
        try:
            known.check(name)
        except TemplateError as error:
            troubles.append(error.sentence)
        except Busy as error:
            return warn(error.sentence, error.hint)
    if troubles:
        more = f" And {len(troubles) - MOST_SHOWN} more." if len(troubles) > MOST_SHOWN else ""
        return fail(
            " ".join(troubles[:MOST_SHOWN]) + more,
            "Correct it, then look at a machine that uses it: pxeapp render MACHINE",
        )
    if astray:
        return warn(
            f"In {folder} nobody looks at {', '.join(astray[:MOST_SHOWN])}.",
            f"Templates lie in its folders {', '.join(TEMPLATE_FOLDERS)}.",
        )
    return ok(f"All {len(names)} templates of the site's own can be parsed.")
