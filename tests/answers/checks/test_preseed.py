"""Preseeds: grammar, questions, types and choices, recipes, and the shell that the installer really has."""

from __future__ import annotations

import pytest

from pxeapp.answers import checks, preseed
from pxeapp.answers.checks import recipes
from pxeapp.answers.checks.known import Known, Question
from tests.answers.samples import PRESEEDS, TEMPLATES, full, spec

SPEC = spec("debian", "13")
TEXT = preseed.render(SPEC, TEMPLATES)
# A whole catalogue of few questions, as one is made from an installer; the rest comes from our own table.
KNOWN = Known(
    {
        "mirror/protocol": Question("select", ("http", "https", "ftp")),
        "partman/confirm": Question("boolean"),
        "clock-setup/utc": Question("boolean"),
        "time/zone": Question("select"),
        "anna/choose_modules": Question("multiselect", ("network-console", "openssh-client-udeb")),
        "netcfg/get_hostname": Question("string"),
    },
    {"hostname": "netcfg/get_hostname"},
    frozenset({"wget", "sed", "sh"}),
    whole=True,
)


def faults(text: str, known: Known = KNOWN) -> list[str]:
    return [str(fault) for fault in checks.check("preseed", text, SPEC, known) if not fault.advice]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("d-i partman/confirm boolean", "d-i partman/confrim boolean", "Did you mean partman/confirm?"),
        ("d-i partman/confirm boolean true", "d-i partman/confirm string true", "of type boolean, not string"),
        ("d-i partman/confirm boolean true", "d-i partman/confirm boolean yes", "neither true nor false"),
        ("d-i partman/confirm boolean true", "d-i partman/confirm boolean false", "ends the installation"),
        ("d-i partman/confirm boolean true", "", "partman/confirm is not answered"),
        ("d-i partman/confirm boolean true", "d-i partman/confirm", "is no answer"),
        ("d-i partman/confirm boolean true", "d-i partman/confirm  boolean  true", "More than one blank"),
        ("d-i partman/confirm boolean true", "d-i partman/confirm boolean true ", "Blanks at the end"),
        ("d-i partman/confirm boolean true", "  # d-i partman/confirm boolean true", "first column only"),
        ("d-i partman/confirm boolean true", "d-i partman/confirm boolean \\ \ntrue", "Blanks behind the backslash"),
        ("d-i partman/confirm boolean", "d-i partman/confirm bool", "is no type"),
        ("d-i partman/confirm boolean", "dii partman/confirm boolean", "the installer's own question"),
        ("d-i mirror/protocol string http", "d-i mirror/protocol string gopher", "no choice of mirror/protocol"),
        (
            "d-i clock-setup/utc boolean true",
            "d-i clock-setup/utc boolean true\nd-i clock-setup/utc boolean true",
            "already",
        ),
        (
            "d-i time/zone string",
            "d-i hostname string a\nd-i netcfg/get_hostname string b\nd-i time/zone string",
            "already",
        ),
        ("tasksel tasksel/first", "d-i tasksel/first", "asked by tasksel"),
        ("root-password-crypted password !!", "root-password-crypted password !", "as good as not answered"),
        ("root-password-crypted password !!", "root-password-crypted password $6$x", "no crypt(3) hash"),
        ("d-i passwd/root-password-crypted password !!", "d-i passwd/root-password password x", "in plain words"),
        ("early_command string wget", "early_command string curl", "no curl in the installer"),
        ("sh /tmp/pxeapp.sh started", "python3 /tmp/pxeapp.sh started", "no python3 in the installer"),
        ("sh /tmp/pxeapp.sh started", "systemctl start x", "in-target systemctl"),
        ("sh /tmp/pxeapp.sh started", "(sh /tmp/pxeapp.sh started", "is no sh"),
        ("string sh /tmp/pxeapp.sh finish", "string sh '/tmp/pxeapp.sh finish", "is no sh"),
        ("string sh /tmp/pxeapp.sh finish", "string sh /tmp/x <<< finish", "is no sh"),
        ("/directory string /", "/directory string ", "does not begin with a slash"),
        ("/hostname string ", "/hostname string http://", "is no host"),
    ],
)
def test_each_break_is_found(old: str, new: str, said: str) -> None:
    assert old in TEXT
    assert any(said in fault for fault in faults(TEXT.replace(old, new, 1))), faults(TEXT.replace(old, new, 1))


@pytest.mark.parametrize(("family", "version"), PRESEEDS)
def test_breaks_of_what_we_render_are_found_in_each_release(family: str, version: str) -> None:
    found = full(family, version)
    text = preseed.render(found, TEMPLATES)
    assert checks.check("preseed", text, found) == []
    for old, new, said in (
        ("d-i grub-installer/only_debian", "d-i grub-installer/only_debain", "only_debian"),
        ("d-i finish-install/reboot_in_progress note", "d-i finish-install/reboot_in_progress string", "of type note"),
        ("d-i clock-setup/utc boolean true", "d-i clock-setup/utc boolean maybe", "neither true nor false"),
    ):
        assert old in text
        broken = [str(fault) for fault in checks.check("preseed", text.replace(old, new, 1), found)]
        assert any(said in fault for fault in broken), (old, broken)


def test_ubuntus_own_questions_are_ubuntus() -> None:
    line = "d-i user-setup/allow-password-weak boolean true\n"
    ubuntu = spec("ubuntu", "18.04")
    text = preseed.render(ubuntu, TEMPLATES)
    assert checks.check("preseed", text + line, ubuntu) == []
    assert any("allow-password-weak" in fault for fault in faults(TEXT + line))


def test_what_a_part_of_a_catalogue_cannot_tell_is_advice() -> None:
    part = Known({"partman/confirm": Question("boolean")})
    line = "d-i rare-component/question boolean true\n"
    (fault,) = [each for each in checks.check("preseed", TEXT + line, SPEC, part) if "rare" in each.problem]
    assert fault.advice
    assert any("rare-component" in fault for fault in faults(TEXT + line))  # a whole one can


def test_questions_of_packages_in_the_installed_system_are_theirs() -> None:
    assert (
        faults(TEXT + "keystone keystone/admin-password password x y\nnova-common nova/my-ip string 10.0.0.7\n") == []
    )


def test_a_line_may_go_on() -> None:
    joined = TEXT.replace("d-i pkgsel/include string ", "d-i pkgsel/include string \\\n  vim \\\n  ", 1)
    assert faults(joined) == []
    assert any("goes on" in fault for fault in faults(TEXT + "d-i preseed/run string a \\\n"))


RECIPE = (
    "site :: 538 538 1075 free $iflabel{ gpt } $reusemethod{ } method{ efi } format{ } . "
    "512 512 512 ext4 $primary{ } method{ format } format{ } use_filesystem{ } filesystem{ ext4 } "
    "mountpoint{ /boot } . "
    "4096 8192 -1 ext4 $lvmok{ } in_vg{ system } lv_name{ root } method{ format } format{ } use_filesystem{ } "
    "filesystem{ ext4 } mountpoint{ / } . 100% 1000 200% linux-swap $lvmok{ } method{ swap } format{ } ."
)


def test_a_recipe_without_a_fault() -> None:
    assert list(recipes.partitions(RECIPE)) == []
    assert (
        faults(
            TEXT.replace(
                "d-i partman-auto/choose_recipe select atomic", f"d-i partman-auto/expert_recipe string {RECIPE}"
            )
        )
        == []
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("site :: ", "", "no name"),
        ("format{ } ." + "", "format{ }", "dot"),
        ("538 538 1075", "538M 538 1075", "no size"),
        ("512 512 512", "512 512 100", "less than the minimum"),
        ("-1 ext4", "-1 etx4", "would make ext2"),
        ("method{ efi }", "method{efi}", "Put blanks"),
        ("method{ efi }", "method{ eif }", "no method"),
        ("method{ efi }", "methd{ efi }", "Write method{ }"),
        ("mountpoint{ / }", "mountpoint{ /boot }", "mounted twice"),
        ("mountpoint{ / }", "mountpoint{ /srv }", "mounted at /"),
        ("mountpoint{ / }", "mountpoint{ /", "not closed"),
        ("mountpoint{ / }", "mountpoint{ srv }", "begin with a slash"),
        ("use_filesystem{ } filesystem{ ext4 } mountpoint{ /boot }", "mountpoint{ /boot }", "without use_filesystem"),
        ("$lvmok{ } in_vg{ system }", "in_vg{ system }", "Add $lvmok{ }"),
        ("method{ format } format{ } use", "method{ format } use", "not formatted"),
    ],
)
def test_a_recipe_that_partman_would_correct_without_a_word(old: str, new: str, said: str) -> None:
    assert old in RECIPE
    broken = (
        RECIPE[: RECIPE.rindex(old)] + new + RECIPE[RECIPE.rindex(old) + len(old) :]
        if "dot" in said
        else RECIPE.replace(old, new, 1)
    )
    assert any(said in " ".join(each) for each in recipes.partitions(broken)), list(recipes.partitions(broken))


def test_arrays() -> None:
    assert list(recipes.arrays("1 2 0 ext4 / /dev/sda1#/dev/sdb1 . 1 2 1 swap - /dev/sda2#/dev/sdb2 /dev/sdc2 .")) == []
    for recipe, said in (
        ("1 2 0 ext4 / /dev/sda1#/dev/sdb1", "closing dot"),
        ("7 2 0 ext4 / /dev/sda1#/dev/sdb1 .", "no RAID level"),
        ("1 3 0 ext4 / /dev/sda1#/dev/sdb1 .", "3 disks are announced"),
        ("1 1 0 ext4 / /dev/sda1 .", "not possible"),
        ("1 2 1 ext4 / /dev/sda1#/dev/sdb1 .", "1 spare disks"),
        ("1 2 0 ext4 .", "no array"),
    ):
        assert any(said in problem for problem, _ in recipes.arrays(recipe)), recipe


@pytest.mark.parametrize(
    "hostile",
    [
        "d-i",
        "\\",
        "d-i x/y string $(reboot)\\",
        "\u202ed-i a/b string c",
        "d-i partman-auto/expert_recipe string " + "{ } " * 5000,
        "\x00 a b c",
    ],
)
def test_hostile_lines_end_in_faults_and_not_in_errors(hostile: str) -> None:
    found = checks.check("preseed", f"{hostile}\n{TEXT}{hostile}\n", SPEC, KNOWN)
    assert found
    assert all(fault.problem.isprintable() for fault in found)


@pytest.mark.parametrize(("family", "version"), [("debian", "13"), ("ubuntu", "18.04")])
def test_breaks_of_the_script_are_found(family: str, version: str) -> None:
    found = full(family, version)
    text = preseed.script(found, TEMPLATES)
    assert checks.check("script", text, found) == []
    for old, new, said in (
        ("\nreport() {", "\nreport() (", "is no sh"),
        ("\nEND_OF_FINISH\n", "\n", "no systemctl"),
        ("    wget -qO", "    curl -qO", "no curl"),
        ("in-target bash", "bash", "no bash"),
        ("\nset -e\n", "\nset -e\nif\n", "is no bash"),  # in the script that it writes
    ):
        assert old in text, old
        broken = [str(fault) for fault in checks.check("script", text.replace(old, new, 1), found)]
        assert any(said in fault for fault in broken), (old, broken)
