"""role.yaml: what it may say is read once; what it may not is refused with its place."""

from __future__ import annotations

import pytest

from pxeapp.answers.roles.definition import BadRole, Part, of_family, read


def part(text: str) -> Part:
    return read("gpu", text, "gpu/role.yaml").definition.part


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("packages: [vim]", "packages"),
        ("packages: {suse: [vim]}", "packages.suse"),
        ("packages: {el: ['vim; reboot']}", "packages.el"),
        ("packages: {debian: [VIM]}", "packages.debian"),
        ("services: {el: ['sshd\\nreboot']}", "services.el"),
        ("modules: ['kvm; reboot']", "modules"),
        ("ports: [99/sctp]", "ports"),
        ("sysctl: {'net.ipv4.ip_forward\\n': 1}", "sysctl"),
        ("sysctl: {net.ipv4.ip_forward: '1; reboot'}", "sysctl"),
        ("files: [{path: /etc/x}]", "files.0.template"),
        ("files: [{path: ../x, template: gpu/x}]", "files.0.path"),
        ("files: [{path: /etc/../x, template: gpu/x}]", "files.0.path"),
        ("files: [{path: /etc/x, template: ../x}]", "files.0.template"),
        ("files: [{path: /etc/x, template: gpu/x, mode: 420}]", "files.0.mode"),
        ("files: [{path: /etc/x, template: gpu/x, owner: root}]", "files.0.owner"),
        ("files: [{path: /etc/x, template: gpu/x, families: [suse]}]", "files.0.families"),
        ("users: [{name: 'a b', home: /x}]", "users.0.name"),
        ("choices: [{packages: {el: [vim]}}]", "choices.0.when"),
        ("choices: [{when: {a: 1}, pakages: {}}]", "choices.0.pakages"),
        ("based_on: base", "based_on"),
        ("openstack: maybe", "openstack"),
        ("variables: {A: {type: text}}", "variables.A"),
        ("variables: {a: {type: texts}}", "variables.a.type"),
        ("pakages: {}", "pakages"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(text: str, field: str) -> None:
    with pytest.raises(BadRole) as refused:
        read("gpu", text, "roles/gpu/role.yaml")
    assert field in [problem.field for problem in refused.value.problems]


@pytest.mark.parametrize(
    "text", ["- a", "a: [", "a: *b", "!!python/object/apply:os.system ['true']", "\x00", "[" * 5000]
)
def test_what_is_no_mapping_or_no_yaml_is_said_in_one_sentence(text: str) -> None:
    with pytest.raises(BadRole, match=r"roles/gpu/role\.yaml"):
        read("gpu", text, "roles/gpu/role.yaml")


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(BadRole) as refused:
        read("gpu", "packages: {suse: [a]}\nmodules: ['a b']\nunknown: 1\n", "gpu")
    assert len(refused.value.problems) == 3


def test_ubuntu_takes_debians_lists_unless_it_has_its_own() -> None:
    both = part("packages: {debian: [a], ubuntu: [b], el: [c]}").joined(part("packages: {debian: [d], el: [e]}"))
    assert {family: of_family(both.packages, family) for family in ("debian", "ubuntu", "el")} == {
        "debian": ("a", "d"), "ubuntu": ("b", "d"), "el": ("c", "e"),
    }  # fmt: skip
    one = part("packages: {debian: [a]}").joined(part("packages: {ubuntu: [b]}"))
    assert (of_family(one.packages, "ubuntu"), of_family(one.packages, "debian")) == (("a", "b"), ("a",))


def test_a_file_of_the_same_path_is_written_once_and_the_later_one_wins() -> None:
    first = part("files: [{path: /etc/x, template: a/x}, {path: /etc/y, template: a/y}]")
    assert [
        (file.path, file.template) for file in first.joined(part("files: [{path: /etc/x, template: b/x}]")).files
    ] == [
        ("/etc/y", "a/y"),
        ("/etc/x", "b/x"),
    ]


def test_a_choice_holds_for_one_value_for_any_of_a_list_and_for_none() -> None:
    text = "choices: [{when: {a: 1}, modules: [one]}, {when: {b: [x, null]}, modules: [other]}]"
    definition = read("gpu", text, "gpu").definition
    assert definition.chosen({"a": 1, "b": "x"}).modules == ("one", "other")
    assert definition.chosen({"a": 2}).modules == ("other",)
    assert definition.chosen({"b": "y"}).modules == ()


def test_a_missing_variable_is_named_with_its_help_and_where_to_say_it() -> None:
    text = """
variables:
  here: {type: word, required: true, help: Where it is.}
  all: {type: word, required: true, scope: cluster, help: What all have.}
  more: {type: boolean, default: false}
  then: {type: word, required_if: {more: true}, help: What more needs.}
"""
    definition = read("gpu", text, "gpu").definition
    assert [(found.field, found.problem) for found in definition.problems({})] == [
        ("vars.here", "is missing; the role gpu needs it: Where it is."),
        ("vars.all", "is missing; the role gpu needs it: What all have."),
    ]
    assert [found.field for found in definition.problems({"here": "a", "all": "b", "more": True})] == ["vars.then"]
    assert [found.field for found in definition.problems({"here": "a b", "all": "b"})] == ["vars.here"]
    assert definition.values({"here": "a"}) == {"here": "a", "all": "", "more": False, "then": ""}
