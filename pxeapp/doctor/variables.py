"""Are there variables that nobody knows, which would be refused if they were said now; can every secret be opened?"""

from __future__ import annotations

from sqlalchemy import select

from pxeapp.answers import knowledge
from pxeapp.answers.models import Role
from pxeapp.doctor.finding import Finding, Patient, fail, ok, warn
from pxeapp.doctor.work import named
from pxeapp.machines import sealed
from pxeapp.machines.models import Cluster, Machine
from pxeapp.templates import Templates
from pxeapp.vault import Undecryptable, open_vault


def unknown(patient: Patient) -> Finding:
    """Variables from before they were checked go on working; somebody should look whether they were meant."""
    templates = Templates(patient.settings.templates_dir)
    found: dict[str, list[str]] = {}
    number = 0
    with patient.database.read() as session:
        rules = knowledge.rules(session, templates)
        for name, role, said in session.execute(select(Machine.name, Machine.role, Machine.vars)):
            number += len(said)
            for each in rules.unknown(role, said):
                found.setdefault(each, []).append(name)
        for name, said in session.execute(select(Role.name, Role.vars)):
            for each in rules.unknown(name, said):
                found.setdefault(each, []).append(f"role {name}")
        for name, said in session.execute(select(Cluster.name, Cluster.vars)):
            for each in rules.unknown(None, said):
                found.setdefault(each, []).append(f"cluster {name}")
    if found:
        said_of = "; ".join(f"{each} of {named(owners)}" for each, owners in sorted(found.items())[:3])
        return warn(
            f"{len(found)} variables are known to no role and mean nothing to our templates: {said_of}.",
            "Correct the name, begin it with site_, or declare it in the role; see: pxeapp variables",
        )
    return ok(f"Every variable is known ({number} are said of machines).")


def secrets(patient: Patient) -> Finding:
    """The present key opens what clusters, roles and machines keep sealed."""
    vault = open_vault(patient.settings.data_dir)
    number = 0
    with patient.database.read() as session:
        kept = [
            *((f"cluster {name}", said) for name, said in session.execute(select(Cluster.name, Cluster.secrets))),
            *((f"cluster {name}", said) for name, said in session.execute(select(Cluster.name, Cluster.vars))),
            *((f"role {name}", said) for name, said in session.execute(select(Role.name, Role.vars))),
            *session.execute(select(Machine.name, Machine.vars).where(sealed.somewhere(Machine.vars))),
        ]
    for owner, said in kept:
        for name, value in said.items():
            for each in filter(sealed.is_sealed, sealed.within(value)):
                number += 1
                try:
                    vault.decrypt(each[sealed.KEY])
                except Undecryptable as error:
                    return fail(f"The secret {name} of {owner}: {error.sentence}", error.hint)
    return ok(f"The key opens every secret among the variables ({number}).")
