"""Are repositories served as their rows say?"""

from __future__ import annotations

from sqlalchemy import select

from pxeapp.doctor.finding import Finding, Patient, ok, warn
from pxeapp.doctor.work import named
from pxeapp.software.repositories import publishing, signing
from pxeapp.software.repositories.models import SoftwareRepository


def repositories(patient: Patient) -> Finding:
    """Those that failed, those that are not on the disk, and by which keys they are signed."""
    with patient.database.read() as session:
        rows = session.scalars(select(SoftwareRepository).order_by(SoftwareRepository.name)).all()
        keys = [row.fingerprint for row in signing.in_use(session)]
    if failing := [row for row in rows if row.problem]:
        said = f"{named([row.name for row in failing])}: {failing[0].problem}"
        return warn(f"What was published before is served of {said}", "See: pxeapp repository list")
    lost = [row.name for row in rows if row.manifest and not publishing.served_at(patient.settings, row.name).exists()]
    if lost:
        return warn(
            f"Not on the disk: {named(lost)}.", "Start pxeapp serve (or pxeapp software-worker): it puts them there."
        )
    if not rows:
        return ok("No repository is published.")
    return ok(f"{len(rows)} are published, signed by {named([key[-16:] for key in keys])}.")
