"""What the doctor says of repositories: failed ones, and lost ones."""

from __future__ import annotations

from pxeapp.doctor import repositories as looking
from pxeapp.doctor.finding import Patient
from pxeapp.software.repositories.models import SoftwareRepository
from pxeapp.software.repositories.signing import SigningKey
from tests.doctor.cases import sees


def add(patient: Patient, name: str, *, served: bool, problem: str = "") -> None:
    with patient.database.write() as session:
        session.add(
            SoftwareRepository(
                name=name, kind="deb", origin="local", manifest="0" * 64, problem=problem, created_at=patient.now,
                updated_at=patient.now,
            )
        )  # fmt: skip
    if served:
        (patient.settings.data_dir / "repo" / name).mkdir(parents=True)


@sees("repositories", "ok")
def test_published_and_signed_is_well(patient: Patient) -> None:
    assert looking.repositories(patient).sentence == "No repository is published."
    add(patient, "tools", served=True)
    with patient.database.write() as session:
        session.add(SigningKey(fingerprint="A" * 40, owner="", public="", private="", created_at=patient.now))
    found = looking.repositories(patient)
    assert (found.status, found.sentence) == ("ok", "1 are published, signed by AAAAAAAAAAAAAAAA.")


@sees("repositories", "warn")
def test_a_failed_and_a_lost_one_are_named(patient: Patient) -> None:
    add(patient, "lost", served=False)
    found = looking.repositories(patient)
    assert (found.status, found.sentence) == ("warn", "Not on the disk: lost.")
    add(patient, "failed", served=True, problem="The upstream does not answer.")
    found = looking.repositories(patient)
    assert found.sentence == "What was published before is served of failed: The upstream does not answer."
