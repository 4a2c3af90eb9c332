"""The site's templates are read by the doctor before a machine needs them."""

from __future__ import annotations

from pxeapp.doctor import sites
from pxeapp.doctor.finding import Patient
from tests.doctor.cases import sees


@sees("site's templates", "ok", "fail")
def test_templates_that_can_be_parsed_are_well_and_each_that_cannot_is_named(patient: Patient) -> None:
    folder = patient.settings.templates_dir
    assert "no templates" in sites.templates(patient).sentence
    (folder / "kickstarts").mkdir(parents=True)
    (folder / "kickstarts/gpu.ks").write_text("{{ undefined_until_it_is_rendered }}\n")
    found = sites.templates(patient)
    assert (found.status, found.sentence) == ("ok", "All 1 templates of the site's own can be parsed.")
    (folder / "kickstarts/bad.ks").write_text("\n{% if %}\n")
    (folder / "kickstarts/worse.ks").write_bytes(b"\xff")
    found = sites.templates(patient)
    assert found.status == "fail"
    assert "kickstarts/bad.ks, line 2: Expected an expression" in found.sentence
    assert "kickstarts/worse.ks is not UTF-8" in found.sentence
    assert "pxeapp render" in found.attempt


def test_a_folder_that_nobody_looks_into_is_a_warning(patient: Patient) -> None:
    (patient.settings.templates_dir / "kickstart").mkdir(parents=True)
    found = sites.templates(patient)
    assert (found.status, "kickstart" in found.sentence, "kickstarts" in found.attempt) == ("warn", True, True)
