"""The locks: what runs is apart from what tests, all of it with hashes and without a host."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.packaging import locks

RUN, BUILD, DEV = "requirements.lock", "requirements-build.lock", "requirements-dev.lock"


@pytest.mark.parametrize("name", [RUN, BUILD, DEV])
def test_every_pin_has_a_hash_and_no_lock_names_a_host(name: str) -> None:
    text = locks.text(name)
    entries = re.split(r"\n(?=\S)", text.strip())
    bare = locks.with_extras(name)  # each stands a second time without them, see lock.sh
    assert len(entries) - len(bare) == len(locks.read(name)) > 0
    assert all(f"\n{entry}==" in f"\n{text}" for entry in bare)
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in text
    assert "index-url" not in text


@pytest.mark.parametrize("name", [RUN, BUILD])
def test_what_runs_is_tested_in_the_same_versions(name: str) -> None:
    assert locks.read(name).items() <= locks.read(DEV).items()


def test_what_runs_needs_no_development_tool() -> None:
    project = tomllib.loads(locks.text("pyproject.toml"))["project"]
    tools = {_name(requirement) for requirement in project["optional-dependencies"]["dev"]}
    assert tools & locks.read(RUN).keys() == set()


def test_every_dependency_of_the_project_is_pinned() -> None:
    project = tomllib.loads(locks.text("pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    wanted = {_name(requirement) for requirement in project["dependencies"] + extras["scale-out"]}
    assert wanted <= locks.read(RUN).keys()
    assert {_name(requirement) for requirement in extras["dev"]} <= locks.read(DEV).keys()


def _name(requirement: str) -> str:
    return re.split(r"[\[><=~! ;]", requirement, maxsplit=1)[0].lower().replace("_", "-")
