"""Who reads the appliance's own repositories is given its key, by every installer; nobody else is."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pxeapp.answers import own_keys, render
from pxeapp.answers.site import read
from pxeapp.answers.spec import AnswerSpec, BadAnswerValue, ReleaseSpec, Repository
from pxeapp.software.repositories import signing
from pxeapp.software.repositories.models import RESERVED
from tests.answers import samples
from tests.answers.samples import NODE_URL, TEMPLATES
from tests.boot import golden

GOLDEN = Path(__file__).parent / "golden"
TOOLS = Repository("tools", f"{NODE_URL}/repo/tools", "stable", "main")
TEXT = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQINBGdF\n=AbCd\n-----END PGP PUBLIC KEY BLOCK-----\n"
HAS = {
    "debian-13": ("main", "non-free-firmware"),
    "snapshots/2026-11/debian-13": ("main",),
    "noble": ("main", "universe"),
}
OWN = own_keys.Own(
    {"tools", "extra", "debian-13", "noble"}.__contains__, lambda: TEXT, lambda place: HAS.get(place, ())
)
SITE = {"repositories": [{"name": "extra", "url": "{node_url}/repo/extra", "suite": "noble", "components": "main"}]}


def keyed(release: ReleaseSpec) -> ReleaseSpec:
    return own_keys.release_keyed(release, NODE_URL, OWN)


def spec(family: str, version: str, **more: object) -> AnswerSpec:
    """Installed from the appliance's own repository, with another one of its own beside it."""
    own = replace(samples.release(family, version), repositories=(TOOLS,), **more)  # type: ignore[arg-type]
    if family == "rocky":
        own = replace(own, repositories=(replace(TOOLS, suite="", components=""),))
    return samples.spec(family, version, release=keyed(own))


def test_the_places_are_those_where_the_keys_are_served() -> None:
    assert f"/repo/{signing.FOLDER}/{signing.ARMOURED}" == own_keys.ARMOURED
    assert f"/repo/{signing.FOLDER}/{signing.BINARY}" == own_keys.BINARY
    assert set(own_keys.NOT_OURS) < set(RESERVED)


@pytest.mark.parametrize(
    ("url", "own"),
    [
        (f"{NODE_URL}/repo/tools", True),
        (f"{NODE_URL}/repo/snapshots/2026-11/tools", True),
        (f"{NODE_URL}/repo/by-hand/deeper", False),
        (f"{NODE_URL}/repo/media/debian-13", False),
        (f"{NODE_URL}/repo/keys/pxeapp.gpg", False),
        (f"{NODE_URL}/repo/snapshots", False),
        (f"{NODE_URL}/repo/", False),
        (f"{NODE_URL}/mirror/debian", False),
        ("http://elsewhere/repo/tools", False),
    ],
)
def test_only_what_the_appliance_has_signed_is_its_own(url: str, own: bool) -> None:
    found = keyed(replace(samples.release("debian", "13"), install_url=url, repositories=(replace(TOOLS, url=url),)))
    assert bool(found.own_key) is own
    assert found.repositories[0].key == (f"{NODE_URL}/repo/keys/pxeapp.gpg" if own else "")


def test_what_somebody_has_put_there_by_hand_is_left_as_it_is() -> None:
    """Nobody but them knows by whom it is signed, and the appliance may not even have a key."""
    release = replace(samples.release("debian", "13"), install_url=f"{NODE_URL}/repo/debian")
    assert keyed(release) is release


def test_a_key_that_somebody_says_stays() -> None:
    said = replace(TOOLS, key="http://elsewhere/key.asc")
    assert keyed(replace(samples.release("debian", "13"), repositories=(said,))).repositories == (said,)


def test_a_sites_own_repositories_are_given_it_too() -> None:
    rocky, debian = samples.release("rocky", "9"), samples.release("debian", "13")
    site = read(SITE, NODE_URL)
    assert own_keys.site_keyed(site, debian, NODE_URL, OWN).repositories[0].key == f"{NODE_URL}/repo/keys/pxeapp.gpg"
    assert own_keys.site_keyed(site, rocky, NODE_URL, OWN).repositories[0].key == f"{NODE_URL}/repo/keys/pxeapp.asc"
    other = read({"repositories": [{**SITE["repositories"][0], "url": "http://elsewhere/repo/extra"}]}, NODE_URL)
    assert own_keys.site_keyed(other, debian, NODE_URL, OWN) is other


def test_debians_installer_is_given_the_key_before_it_loads_anything() -> None:
    found = spec("debian", "13", install_url=f"{NODE_URL}/repo/debian-13")
    for kind, suffix in (("preseed", "cfg"), ("script", "sh")):
        golden.check(f"debian-13-own-repository.{suffix}", render.render(kind, found, TEMPLATES), GOLDEN)
    script = render.render("script", found, TEMPLATES)
    started = script[script.index("    started)") :]
    assert started.index("own_key") < started.index("watch")
    assert "allow_unauthenticated" not in render.render("preseed", found, TEMPLATES)
    assert "own_key" not in render.render("script", samples.spec("debian", "13"), TEMPLATES)


def test_an_enterprise_linux_checks_the_index_by_the_key() -> None:
    text = render.render("kickstart", spec("rocky", "9"), TEMPLATES)
    golden.check("rocky-9-own-repository.ks", text, GOLDEN)
    repository = re.search(r"(?ms)^\[tools\]$.*?^END_OF_REPOSITORY$", text)
    assert repository is not None
    assert "\nrepo_gpgcheck=1\ngpgcheck=0\n" in repository[0]
    foreign = replace(TOOLS, suite="", components="", url="http://elsewhere/tools", key="http://elsewhere/key.asc")
    own = replace(samples.release("rocky", "9"), repositories=(foreign,))
    text = render.render("kickstart", samples.spec("rocky", "9", release=keyed(own)), TEMPLATES)
    assert "repo_gpgcheck" not in text
    assert "\ngpgcheck=1\n" in text


def test_ubuntus_installer_is_given_the_key_as_text() -> None:
    found = spec("ubuntu", "24.04", archive=f"{NODE_URL}/repo/noble")
    for kind, suffix in (("user-data", "user-data"), ("script", "autoinstall.sh")):
        golden.check(f"ubuntu-24.04-own-repository.{suffix}", render.render(kind, found, TEMPLATES), GOLDEN)
    said = yaml.safe_load(render.render("user-data", found, TEMPLATES))["autoinstall"]
    assert said["apt"]["sources"] == {"pxeapp": {"key": TEXT}}
    assert "[signed-by=/etc/apt/keyrings/tools.gpg]" in render.render("script", found, TEMPLATES)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("mirror/debian", {}),
        ("repo/tools", {}),
        ("repo/debian-13", {"contrib": "false", "non-free": "false", "non-free-firmware": "true"}),
        ("repo/snapshots/2026-11/debian-13", {"contrib": "false", "non-free": "false", "non-free-firmware": "false"}),
    ],
)
def test_debians_installer_writes_down_no_part_that_a_mirror_of_ours_lacks(place: str, said: dict[str, str]) -> None:
    """Else each `apt-get update` of the installed system would warn of it."""
    text = render.render("preseed", spec("debian", "13", install_url=f"{NODE_URL}/{place}"), TEMPLATES)
    found = dict(re.findall(r"(?m)^d-i apt-setup/(contrib|non-free|non-free-firmware) boolean (\w+)$", text))
    assert found == said
    assert "d-i apt-setup/enable-source-repositories boolean false\n" in text
    never = "d-i hw-detect/firmware-lookup select never\n" in text  # of itself it writes that part down for a microcode
    assert never is (said.get("non-free-firmware") == "false")


def test_ubuntus_older_installer_is_told_the_same() -> None:
    text = render.render("preseed", spec("ubuntu", "18.04", install_url=f"{NODE_URL}/repo/noble"), TEMPLATES)
    for component, said in (("restricted", "false"), ("universe", "true"), ("multiverse", "false")):
        assert f"d-i apt-setup/{component} boolean {said}\n" in text


def test_ubuntus_installer_asks_a_mirror_of_ours_for_no_suite_and_no_part_that_it_lacks() -> None:
    """It would give up: -updates and -security are in the one suite of such a mirror."""
    said = yaml.safe_load(
        render.render("user-data", spec("ubuntu", "24.04", archive=f"{NODE_URL}/repo/noble"), TEMPLATES)
    )
    apt = said["autoinstall"]["apt"]
    assert apt["disable_suites"] == ["updates", "security", "backports"]
    assert apt["disable_components"] == ["restricted", "multiverse"]
    elsewhere = yaml.safe_load(render.render("user-data", samples.spec("ubuntu", "24.04"), TEMPLATES))
    assert not {"disable_suites", "disable_components"} & elsewhere["autoinstall"]["apt"].keys()


def test_what_is_no_key_does_not_reach_an_answer_file() -> None:
    release = replace(keyed(samples.release("debian", "13")), own_key_text="late-commands: [reboot]\n")
    with pytest.raises(BadAnswerValue, match="cannot be made"):
        samples.spec("debian", "13", release=release)
