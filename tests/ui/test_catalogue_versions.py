"""Earlier versions on the pages: who made them, what differs, and going back after what that changes was shown."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from sqlalchemy import event

from tests.api.conftest import Api, Asker
from tests.ui.forms import Person, person

TOKEN = "correct-horse-battery-staple"
OTHER = "another-horse-altogether"
EVIL = "'\"><img src=x onerror=window.evil=1>{{7*7}}"
DECLARED = {"own_token": {"secret": True, "help": "A token."}}


@pytest.fixture
def somebody(api: Api) -> Person:
    return person(api)


def tag_of(somebody: Person, path: str) -> str:
    found = re.search(r'name="tag" value="([^"]*)"', somebody.get(path).text)
    assert found is not None
    return found[1]


def lines(page: str) -> list[str]:
    """The coloured lines of a page's differences."""
    return [unescape(each) for each in re.findall(r'<span class="(?:comes|goes)">([^<]*)</span>', page)]


def edited(somebody: Person, path: str, **fields: str) -> Any:
    return somebody.post(path, tag=tag_of(somebody, path), **fields)


def test_a_version_says_who_made_it_and_why_and_what_has_changed_since(admin: Asker, somebody: Person) -> None:
    admin.post("/networks", json={"name": "lan", "cidr": "10.0.0.0/24", "vlan": 5})
    saved = edited(somebody, "/catalogue/networks/lan", do="save", text="vlan: 7\n", comment="The switch moved.")
    assert saved.status_code == 303
    page = somebody.get("/catalogue/networks/lan").text
    assert 'href="/catalogue/networks/lan/versions/2"' in page
    assert "The switch moved." in page
    assert re.search(r"<td>the-admin</td><td>made</td>", page)
    old = somebody.get("/catalogue/networks/lan/versions/1").text
    assert lines(old) == ["-vlan: 5", "+vlan: 7"]
    admin.patch("/networks/lan", json={"vlan": 8})
    assert lines(somebody.get("/catalogue/networks/lan/versions/1?to=2").text) == ["-vlan: 5", "+vlan: 7"]
    assert lines(somebody.get("/catalogue/networks/lan/versions/2?to=1").text) == ["-vlan: 5", "+vlan: 7"]
    assert somebody.get("/catalogue/networks/lan/versions/1?to=99").status_code == 404
    assert somebody.get("/catalogue/networks/lan/versions/9").status_code == 404
    assert somebody.get("/catalogue/machines/lan/versions/1").status_code == 404


def test_going_back_shows_what_it_changes_on_machines_and_is_done_from_what_was_seen(
    admin: Asker, somebody: Person, machine: dict[str, Any]
) -> None:
    admin.patch("/releases/debian-13", json={"kernel_args": "one"})
    admin.patch("/releases/debian-13", json={"kernel_args": "two"})
    path = "/catalogue/releases/debian-13/versions/2"
    stale = tag_of(somebody, path)
    shown = somebody.post(path, do="difference", tag=stale).text
    assert "1 of 1 machines would be given something else." in shown
    assert any("one" in line and line.startswith("+") for line in lines(shown))
    one = somebody.post(path, do="preview", tag=stale, machine="node1").text
    assert "What node1 would be given" in one
    assert somebody.post(path, do="preview", tag=stale, machine="no-such").status_code == 422
    assert admin.get("/releases/debian-13").json["kernel_args"] == "two"
    admin.patch("/releases/debian-13", json={"install_url": "{node_url}/mirror/other"})
    late = somebody.post(path, do="restore", tag=stale)
    assert (late.status_code, "changed meanwhile" in late.text) == (422, True)
    assert edited(somebody, path, do="restore", comment="Two was worse.").status_code == 303
    found = admin.get("/releases/debian-13").json
    assert (found["kernel_args"], found["install_url"]) == ("one", "{node_url}/mirror/debian")
    assert admin.get("/releases/debian-13/versions").json["items"][0]["comment"] == "Back to version 2. Two was worse."


def test_a_changed_secret_is_seen_to_be_another_and_never_seen(
    admin: Asker, somebody: Person, machine: dict[str, Any]
) -> None:
    admin.post("/roles", json={"name": "mine", "variables": DECLARED, "vars": {"own_token": TOKEN}})
    admin.patch("/roles/mine", json={"vars": {"own_token": OTHER}})
    page = somebody.get("/catalogue/roles/mine/versions/1").text
    gone, come = lines(page)
    assert gone.startswith("-  own_token: '***(")
    assert gone[1:] != come[1:]
    looked = edited(somebody, "/catalogue/roles/mine/versions/1", do="difference").text
    for text in (page, looked, somebody.get("/catalogue/roles/mine").text):
        assert TOKEN not in text
        assert OTHER not in text


def test_an_edit_beside_a_masked_secret_proposes_no_other_secret(
    admin: Asker, somebody: Person, machine: dict[str, Any]
) -> None:
    said = {"root_password_hash": "$6$abcdefgh$" + "x" * 86, "timezone": "Europe/Rome"}
    assert admin.patch("/roles/compute", json={"vars": said}).status_code == 200
    text = "vars:\n  root_password_hash: '***'\n  timezone: Europe/Paris\n"
    found = edited(somebody, "/catalogue/roles/compute", do="difference", text=text)
    assert found.status_code == 200
    changed = lines(found.text)
    assert any("Europe/Paris" in line for line in changed)
    assert not [line for line in changed if "***" in line]


def test_a_preview_shows_the_files_of_one_machine_beside_those_it_has(
    admin: Asker, somebody: Person, machine: dict[str, Any]
) -> None:
    page = edited(
        somebody, "/catalogue/roles/compute", do="preview", machine="node1", text="vars: {timezone: Europe/Rome}\n"
    ).text
    assert "What node1 would be given" in page
    assert any(line.startswith("+") and "Europe/Rome" in line for line in lines(page))
    preseed = page.split("<summary>preseed ")[1].split("</details>")[0]
    before, after = preseed.split('<div class="sides">')[1].split("<h3>Then</h3>")
    assert ("Europe/Rome" in before, "Europe/Rome" in after) == (False, True)
    same = page.split("<summary>ipxe ")[1].split("</details>")[0]
    assert "as it is now" in same
    nothing = edited(somebody, "/catalogue/roles/base", do="preview", machine="node1", text="description: Else\n").text
    assert "No file of it would be another one." in nothing
    assert admin.get("/roles/compute").json["vars"] == {}
    assert len(admin.get("/roles/compute/versions").json["items"]) == 1


def test_what_was_deleted_is_listed_and_brought_back(admin: Asker, somebody: Person) -> None:
    admin.post("/clusters", json={"name": "lab", "description": "A lab."})
    admin.delete("/clusters/lab")
    assert 'href="/catalogue/clusters/lab"' in somebody.get("/catalogue/clusters").text
    page = somebody.get("/catalogue/clusters/lab").text
    assert "It is not there any more." in page
    assert "<textarea" not in page
    path = "/catalogue/clusters/lab/versions/1"
    looked = edited(somebody, path, do="difference")
    assert (looked.status_code, "It is not there now" in looked.text) == (422, True)
    assert edited(somebody, path, do="restore").status_code == 303
    assert admin.get("/clusters/lab").json["description"] == "A lab."
    seen = tag_of(somebody, path)
    admin.delete("/clusters/lab")
    late = somebody.post(path, do="restore", tag=seen)
    assert (late.status_code, "changed meanwhile" in late.text) == (422, True)
    assert admin.get("/clusters/lab").status_code == 404
    assert edited(somebody, path, do="restore").status_code == 303
    assert "Deleted" not in somebody.get("/catalogue/clusters").text
    assert somebody.post("/catalogue/clusters/lab/versions/2", do="restore", tag="").status_code == 422


def test_whatever_stands_in_a_version_is_text_on_the_page(admin: Asker, somebody: Person) -> None:
    admin.post("/roles", json={"name": "mine", "description": "Mine.", "vars": {"site_note": EVIL}})
    edited(somebody, "/catalogue/roles/mine", do="save", text="description: Other\nvars: {}\n", comment=EVIL)
    for path in ("/catalogue/roles/mine", "/catalogue/roles/mine/versions/1", "/catalogue/roles/mine/versions/2"):
        page = somebody.get(path).text
        assert "<img" not in page
        assert "49" not in re.sub(r"<[^>]*>", "", page).split("Versions")[1][:400]
    assert EVIL in unescape(somebody.get("/catalogue/roles/mine").text)


def test_who_may_not_change_it_sees_no_form(api: Api, admin: Asker) -> None:
    admin.patch("/releases/debian-13", json={"kernel_args": "quiet"})
    client = api.app.test_client()
    reply = client.get(
        "/catalogue/releases/debian-13/versions/1", headers={"Authorization": f"Bearer {api.tokens['viewer']}"}
    )
    assert reply.status_code == 200
    assert "-" in "".join(lines(reply.text))
    assert 'value="restore"' not in reply.text


def test_both_languages_say_what_was_done(admin: Asker, somebody: Person) -> None:
    admin.post("/networks", json={"name": "lan", "cidr": "10.0.0.0/24"})
    admin.patch("/networks/lan", json={"vlan": 7})
    admin.post("/networks/lan/versions/1/restore", json={"comment": "abc"})
    page = somebody.get("/catalogue/networks/lan", headers={"Accept-Language": "zh"}).text
    assert "恢复到版本 1。abc" in page
    assert "已创建" in page


@pytest.mark.parametrize("kind", ["networks", "roles", "clusters"])
def test_a_list_asks_as_many_questions_of_ten_as_of_one(api: Api, admin: Asker, somebody: Person, kind: str) -> None:
    def made(number: int) -> None:
        said = {"cidr": f"10.{number}.0.0/24"} if kind == "networks" else {}
        assert admin.post(f"/{kind}", json={"name": f"x{number}", **said}).status_code == 201

    def asked() -> int:
        heard: list[str] = []

        def listen(*said: Any) -> None:
            heard.append(said[2])

        event.listen(api.context.database.engine, "before_cursor_execute", listen)
        try:
            assert somebody.get(f"/catalogue/{kind}", follow_redirects=True).status_code == 200
        finally:
            event.remove(api.context.database.engine, "before_cursor_execute", listen)
        return len(heard)

    made(0)
    one = asked()
    for number in range(1, 11):
        made(number)
    assert asked() == one
