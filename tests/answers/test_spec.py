"""Whatever an operator writes: it is refused by a sentence, or it changes nothing but its own place."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pxeapp.answers import kickstart, preseed
from pxeapp.answers.spec import AnswerSpec, BadAnswerValue, Card, Repository
from tests.answers.samples import DATA, MAC, SYSTEM, TEMPLATES, release, spec
from tests.answers.test_kickstart import parse

ROCKY = spec("rocky", "9")
CENTOS7 = spec("centos", "7")
TRIXIE = spec("debian", "13")
POISON = (
    "a\nb", "a\r\nb", "a\n%end\n%pre\nreboot\n%end", "%end", "# x", "a #b", 'a"b', "a'b", "a\\", "\\", "$(reboot)",
    "`reboot`", "a;b", "a|b", "a&b", "a b --foo", "--foo", "a\tb", "a\0b", "caf\u00e9", "\u2028", "a\u0085b", "{{ 7 }}",
    "{% raw %}", "${HOME}", "*", "~", "<x", ">x", "(", "x" * 5000,
)  # fmt: skip


def with_value(base: AnswerSpec, field: str, value: str) -> AnswerSpec:
    """The specification with this value in the place that `field` names."""
    places: dict[str, Any] = {
        "packages": lambda: {"packages": (value,)},
        "services": lambda: {"services": (value,)},
        "ssh_keys": lambda: {"ssh_keys": (value,)},
        "ntp": lambda: {"ntp": (value,)},
        "data_disks": lambda: {"data_disks": (value,)},
        "keep_disks": lambda: {"keep_disks": (value,)},
        "gateway": lambda: {"boot": Card(MAC, address="10.77.0.11/24", gateway=value)},
        "dns": lambda: {"boot": Card(MAC, address="10.77.0.11/24", dns=(value,))},
        "address": lambda: {"boot": Card(MAC, address=value)},
        "card_mac": lambda: {"cards": (Card(value),)},
        "card_name": lambda: {"cards": (Card("52:54:00:00:00:02", name=value),)},
        "vars": lambda: {"vars": {"motd": value}},
        "var_names": lambda: {"vars": {value: "x"}},
        "deep_vars": lambda: {"vars": {"list": [{"text": [value]}]}},
    }
    if field in places:
        return replace(base, **places[field]())
    where, _, part = field.partition(".")
    if where == "release":
        return replace(base, release=replace(base.release, **{part: value}))
    if where == "repository":
        repository = replace(Repository("x", "http://10.77.0.1/x", "x", "main"), **{part: value})
        return replace(base, release=replace(base.release, repositories=(repository,)))
    return replace(base, **{field: value})


FIELDS = (
    "hostname", "domain", "role", "packages", "services", "ssh_keys", "ntp", "system_disk", "data_disks", "keep_disks",
    "timezone", "locale", "keyboard", "root_password_hash", "answer_url", "callback_url", "gateway", "dns",
    "address", "card_mac", "card_name", "release.name", "release.install_url", "release.udeb_suite",
    "release.net_image", "repository.name", "repository.url", "repository.suite", "repository.components",
    "repository.key",
)  # fmt: skip
VARS = ("vars", "var_names", "deep_vars")


def shape(text: str) -> Counter[str]:
    """The first word of each line: commands, sections, keys. What a value cannot change."""
    return Counter(line.split()[0] for line in text.splitlines() if line.strip())


def files(found: AnswerSpec) -> list[str]:
    """Everything that is rendered from a specification."""
    if found.release.installer == "kickstart":
        return [kickstart.render(found, TEMPLATES)]
    return [preseed.render(found, TEMPLATES), preseed.script(found, TEMPLATES)]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("base", [ROCKY, TRIXIE], ids=["kickstart", "preseed"])
def test_a_value_that_could_mean_something_is_refused_by_its_field(field: str, base: AnswerSpec) -> None:
    for value in POISON:
        with pytest.raises(BadAnswerValue) as refused:
            with_value(base, field, value)
        assert refused.value.problems
        assert all(problem.field and problem.problem.endswith(".") for problem in refused.value.problems)
        assert all(len(str(problem)) < 400 for problem in refused.value.problems)


@pytest.mark.parametrize("field", VARS)
def test_variables_are_free_but_of_line_breaks(field: str) -> None:
    for value in POISON:
        if value.isprintable():
            # Our own templates write no variable anywhere: whatever it holds, they say the same.
            assert files(with_value(ROCKY, field, value)) == files(ROCKY)
        else:
            with pytest.raises(BadAnswerValue):
                with_value(ROCKY, field, value)


ANYTHING = st.text(max_size=40) | st.sampled_from(POISON).flatmap(
    lambda poison: st.tuples(st.sampled_from(["", "a", "node1", "http://h/", "10.0.0.1"]), st.just(poison)).map("".join)
)
WORDS = st.from_regex(r"[A-Za-z0-9@._+:/$=-]{1,30}", fullmatch=True)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from((*FIELDS, *VARS)), ANYTHING | WORDS, st.sampled_from([ROCKY, CENTOS7, TRIXIE]))
def test_no_value_adds_a_line_a_section_or_a_command(field: str, value: str, base: AnswerSpec) -> None:
    try:
        found = with_value(base, field, value)
    except BadAnswerValue:
        return
    assert value.isprintable()
    harmless = with_value(base, field, HARMLESS.get(field, "x")) if field not in ("vars", "var_names") else base
    for text, expected in zip(files(found), files(harmless), strict=True):
        if not value:  # nothing was said: what depends on it is left out
            assert len(text.splitlines()) <= len(expected.splitlines())
            continue
        assert len(text.splitlines()) == len(expected.splitlines())
        changed = shape(text) - shape(expected)
        assert sum(changed.values()) <= 1  # at most the value itself, where it stands first: a package, a key
    if base.release.installer == "kickstart":
        parse(files(found)[0], "RHEL7" if base is CENTOS7 else "RHEL9")


HARMLESS = {
    "ssh_keys": ROCKY.ssh_keys[0], "ntp": "10.0.0.1", "system_disk": SYSTEM, "data_disks": DATA[0],
    "keep_disks": DATA[0], "timezone": "Etc/UTC", "locale": "en_US.UTF-8", "root_password_hash": "$6$" + "a" * 20,
    "answer_url": "http://h/a", "callback_url": "http://h/c", "gateway": "10.77.0.1",
    "dns": "10.77.0.1", "address": "10.77.0.11/24", "card_mac": "52:54:00:00:00:09", "card_name": "eno1",
    "release.install_url": "http://h/x", "release.net_image": "http://h/x", "repository.url": "http://h/x",
    "repository.key": "http://h/x",
}  # fmt: skip


@pytest.mark.parametrize(
    ("card", "said"),
    [
        (Card(MAC, address="10.77.0.11"), "has no prefix"),
        (Card(MAC, address="10.77.0.11/0"), "has no prefix"),
        (Card(MAC, address="10.77.0.11/33"), "has no prefix"),
        (Card(MAC, address="10.77.0.11/\u0662\u0664"), "has no prefix"),
        (Card(MAC, address="10.77.11/24"), "is not an IPv4 address"),
        (Card(MAC, address="010.77.0.11/24"), "is not an IPv4 address"),
        (Card(MAC, address="fd00::11/64"), "is not an IPv4 address"),
        (Card(MAC, address="10.77.0.11/24", gateway="10.78.0.1"), "cannot be reached from"),
        (Card(MAC, address="10.77.0.11/24", gateway="10.77.0.1/24"), "is not an address"),
        (Card(MAC, dns=("10.77.0.1/24",)), "is not an address"),
        (Card(MAC, vlan=4095), "is not a VLAN"),
        (Card("52-54-00-00-00-01"), "is not in our one spelling"),
    ],
)
def test_addresses_are_what_every_installer_reads(card: Card, said: str) -> None:
    with pytest.raises(BadAnswerValue) as refused:
        replace(ROCKY, boot=card)
    assert any(said in problem.problem for problem in refused.value.problems)


def test_every_problem_is_said_at_once() -> None:
    with pytest.raises(BadAnswerValue) as refused:
        replace(ROCKY, hostname="Node 1", timezone="--nontp", packages=("a b", "c;d"))
    fields = [problem.field for problem in refused.value.problems]
    assert fields == ["hostname", "packages", "packages", "timezone"]


def test_a_disk_is_either_the_systems_or_data() -> None:
    with pytest.raises(BadAnswerValue) as refused:
        replace(ROCKY, keep_disks=(SYSTEM,))
    assert "is also a data disk" in refused.value.problems[0].problem


def test_a_release_without_a_tree_is_refused_before_a_machine_is_touched() -> None:
    with pytest.raises(BadAnswerValue) as refused:
        spec("rocky", "9", release=release("rocky", "9", install_url=""))
    assert "PATCH the release's install_url" in refused.value.problems[0].fix


YESCRYPT = "$y$j9T$" + "a" * 22 + "$" + "b" * 43


@pytest.mark.parametrize(("family", "version"), [("centos", "7"), ("ubuntu", "18.04")])
def test_a_hash_that_the_system_cannot_check_is_refused(family: str, version: str) -> None:
    with pytest.raises(BadAnswerValue) as refused:
        spec(family, version, root_password_hash=YESCRYPT)
    (problem,) = refused.value.problems
    assert "nobody could sign in" in problem.problem
    assert "openssl passwd -6" in problem.fix
    assert YESCRYPT not in str(problem)
    assert spec("debian", "13", root_password_hash=YESCRYPT).root_password_hash == YESCRYPT


def test_a_refused_hash_is_not_repeated() -> None:
    with pytest.raises(BadAnswerValue) as refused:
        replace(ROCKY, root_password_hash="$6$short")
    assert not any("$6$short" in str(problem) for problem in refused.value.problems)


@pytest.mark.parametrize("package", ["-nano", "@core", "@^minimal", "Nano", "n_a"])
def test_on_debian_a_package_is_a_package(package: str) -> None:
    # apt would take a leading dash for an option of its own.
    with pytest.raises(BadAnswerValue):
        replace(TRIXIE, packages=(package,))
    if package != "n_a":
        assert package in replace(ROCKY, packages=(package,)).packages


def test_a_debian_repository_has_a_suite() -> None:
    flat = Repository("flat", "http://10.77.0.1/flat", "./")
    text = preseed.render(replace(TRIXIE, release=replace(TRIXIE.release, repositories=(flat,))), TEMPLATES)
    assert re.search(r"(?m)^d-i apt-setup/local0/repository string http://10\.77\.0\.1/flat \./$", text)
    with pytest.raises(BadAnswerValue) as refused:
        replace(TRIXIE, release=replace(TRIXIE.release, repositories=(replace(flat, suite=""),)))
    assert refused.value.problems[0].field == "release.repositories.0.suite"
