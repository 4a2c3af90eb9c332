"""What the doctor says of a host: programs, clock, KVM."""

from __future__ import annotations

from pathlib import Path

import pytest

from pxeapp.doctor import system
from pxeapp.doctor.finding import Patient
from pxeapp.doctor.system import Clock
from tests.doctor.cases import sees
from tests.doctor.patients import with_


@sees("programs", "ok", "warn", "fail")
def test_missing_programs_are_named_with_what_is_not_possible_and_their_packages(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for program in system.PROGRAMS:
        (tmp_path / program.name).write_text("#!/bin/sh\n")
        (tmp_path / program.name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(system, "EVERYWHERE", str(tmp_path))
    full = with_(patient, dhcp="full", dhcp_interface="lo")
    assert system.programs(full).status == "ok"
    assert "pg_dump" in system.programs(with_(patient, database_url="postgresql+psycopg://db/x")).sentence
    (tmp_path / "ipmitool").unlink()
    found = system.programs(full)
    assert (found.status, "console does not work" in found.sentence) == ("warn", True)
    assert found.attempt == "Run: apt-get install ipmitool"
    (tmp_path / "dnsmasq").unlink()
    assert system.programs(full).status == "fail"
    assert system.programs(full).attempt == "Run: apt-get install dnsmasq-base ipmitool"
    assert system.programs(patient).status == "warn"  # without DHCP of ours nobody misses dnsmasq


@sees("clock", "ok", "warn", by=system.judge)
def test_a_clock_that_nothing_keeps_in_step_is_a_warning(patient: Patient) -> None:
    assert system.judge(Clock(kept=True, error_ms=3.0), "noon").status == "ok"
    assert "chrony" in system.judge(Clock(kept=False, error_ms=3.0), "noon").attempt
    far = system.judge(Clock(kept=True, error_ms=16_000.0), "noon")
    assert (far.status, "16.0 s" in far.sentence) == ("warn", True)
    assert system.clock(patient).status in ("ok", "warn")
    assert system.judge(None, "noon").status == "ok"


@sees("KVM", "ok", "warn", by=system.judge_kvm)
def test_kvm_matters_only_where_the_virtual_rack_can_run(tmp_path: Path) -> None:
    assert system.judge_kvm(tmp_path / "kvm", rack=False).status == "ok"
    missing = system.judge_kvm(tmp_path / "kvm", rack=True)
    assert (missing.status, "modprobe kvm" in missing.attempt) == ("warn", True)
    (tmp_path / "kvm").write_text("no device")
    assert "is no KVM" in system.judge_kvm(tmp_path / "kvm", rack=True).sentence
    folder = system.judge_kvm(tmp_path, rack=True)
    assert (folder.status, "group" in folder.attempt) == ("warn", True)


@pytest.mark.skipif(not system.KVM.exists(), reason="this host has no /dev/kvm")
def test_a_real_kvm_is_known(patient: Patient) -> None:
    assert system.judge_kvm(system.KVM, rack=True).status == "ok"
