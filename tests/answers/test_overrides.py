"""A site's own templates: one of the same name wins, a role of the site's own has one, and mistakes are said."""

from __future__ import annotations

from pathlib import Path

import pytest

from pxeapp.answers import kickstart, preseed
from pxeapp.templates import TemplateError, Templates
from tests.answers.samples import TEMPLATES, spec
from tests.answers.test_kickstart import parse


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for folder in ("kickstarts", "preseeds"):
        (tmp_path / folder).mkdir()
    return tmp_path


def test_a_sites_base_wins_for_every_role_that_has_no_own(site: Path) -> None:
    (site / "kickstarts/base.ks").write_text("# ours: {{ spec.hostname }}, {{ spec.role }}\n")
    templates = Templates(site)
    assert kickstart.render(spec("rocky", "9"), templates) == "# ours: node1, base\n"
    assert kickstart.render(spec("rocky", "9", role="ceph-osd"), templates) == "# ours: node1, ceph-osd\n"
    # compute.ks extends base.ks, whoever wrote it.
    assert kickstart.render(spec("rocky", "9", "compute"), templates) == "# ours: node1, compute\n"


def test_a_role_of_the_sites_own_has_its_own_template(site: Path) -> None:
    (site / "kickstarts/gpu.ks").write_text(
        '{% extends "kickstarts/base.ks" %}\n'
        "{% block site %}\n%post\necho {{ spec.vars.motd | sh }} >/etc/motd\n%end\n{% endblock %}\n"
    )
    found = spec("rocky", "9", role="gpu", vars={"motd": "it's $(reboot) time"})
    text = kickstart.render(found, Templates(site))
    scripts = parse(text, "RHEL9").scripts
    assert "echo 'it'\"'\"'s $(reboot) time' >/etc/motd" in scripts[0].script
    assert "report installed" in scripts[-1].script  # theirs comes before ours


def test_a_part_alone_can_be_replaced(site: Path) -> None:
    (site / "kickstarts/_system.ks").write_text("lang en_US.UTF-8\nrootpw --lock\n")
    (site / "preseeds/_packages.cfg").write_text("d-i pkgsel/include string vim\n")
    assert "selinux" not in kickstart.render(spec("rocky", "9"), Templates(site))
    assert "pkgsel/include string vim\n" in preseed.render(spec("debian", "13"), Templates(site))
    assert "selinux" in kickstart.render(spec("rocky", "9"), TEMPLATES)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("# one\n# two\nlang {{ nothing }}\n", 3, "'nothing' is undefined"),
        ("# one\nlang {{ spec.nothing }}\n", 2, "has no attribute 'nothing'"),
        ("{{ spec.vars.nothing }}\n", 1, "has no attribute 'nothing'"),
        ("# one\n{% if %}\n", 2, "Expected an expression"),
        ("{{ spec.__class__.__mro__ }}\n", 1, "unsafe"),
        ("{{ spec.hostname | nothing }}\n", 1, "No filter named 'nothing'"),
    ],
)
def test_a_mistake_is_said_with_template_line_and_variable(site: Path, text: str, line: int, said: str) -> None:
    path = site / "kickstarts/base.ks"
    path.write_text(text)
    with pytest.raises(TemplateError) as refused:
        kickstart.render(spec("rocky", "9"), Templates(site))
    assert "kickstarts/base.ks" in refused.value.sentence
    assert f"line {line}:" in refused.value.sentence
    assert said in refused.value.sentence


def test_a_mistake_in_a_part_names_the_part(site: Path) -> None:
    (site / "kickstarts/_network.ks").write_text("\nnetwork {{ oops }}\n")
    with pytest.raises(TemplateError, match=r"kickstarts/_network\.ks, line 2: 'oops' is undefined"):
        kickstart.render(spec("rocky", "9"), Templates(site))


def test_a_missing_part_is_named(site: Path) -> None:
    (site / "kickstarts/base.ks").write_text('{% include "kickstarts/_none.ks" %}\n')
    with pytest.raises(TemplateError, match=r"no template kickstarts/_none\.ks"):
        kickstart.render(spec("rocky", "9"), Templates(site))
