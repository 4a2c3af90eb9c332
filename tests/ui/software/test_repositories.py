"""The pages of repositories: what is served, what each holds, the forms that change it, and who may see them."""

from __future__ import annotations

from http import HTTPStatus

from pxeapp.accounts import service as users
from pxeapp.accounts.permissions import OPERATOR
from pxeapp.db import now
from pxeapp.software import packages
from pxeapp.software.content.store import Store
from pxeapp.software.packages import Package
from pxeapp.software.repositories import publishing
from pxeapp.software.repositories.signing import SigningKey
from pxeapp.software.tasks import service as tasks
from tests.api.conftest import PASSWORD, Api
from tests.ui.forms import person


def store(api: Api) -> Store:
    return Store(api.context.settings.data_dir / "software")


def idle(api: Api) -> None:
    """Nothing is ordered any more."""
    with api.write() as session:
        for row in tasks.listing(session, limit=10, running=True):
            tasks.cancel(session, row.id, actor="test", now=now())


def filled(api: Api, name: str = "tools", many: int = 2) -> None:
    """A repository that has been published, with packages."""
    person(api).post("/software/repositories", name=name, kind="deb", description="<b>ours</b>")
    idle(api)
    listed = [
        Package("deb", f"agent{number:02}", "1.0", "all", f"pool/{number}", "0" * 64, 2048, "agent", f"Agent {number}")
        for number in range(many)
    ]
    with api.write() as session:
        row = publishing.get(session, name)
        row.packages, row.package_count = packages.save(store(api), listed), many
        row.bytes, row.manifest, row.published_at = 4096, "1" * 64, now()


def order(api: Api) -> tuple[str, dict[str, object]]:
    with api.read() as session:
        row = tasks.listing(session, limit=1, running=True)[0]
        return row.kind, row.options


def test_a_repository_is_added_by_a_form_and_what_is_wrong_stands_beside_its_field(api: Api) -> None:
    admin = person(api)
    assert "No repository is published yet." in admin.get("/software/repositories").text
    wrong = admin.post("/software/repositories", name="keys", kind="deb", suite="a b", component="main x/y")
    assert wrong.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert wrong.text.count('class="error"') == 3
    assert 'value="main x/y"' in wrong.text
    right = admin.post("/software/repositories", name="tools", kind="rpm", description="ours")
    assert (right.status_code, right.location) == (HTTPStatus.SEE_OTHER, "/software/repositories/tools")
    assert "Not published yet." in admin.get("/software/repositories/tools").text
    assert admin.post("/software/repositories", name="more", kind="tar").status_code == HTTPStatus.NOT_FOUND


def test_packages_are_listed_searched_and_paged(api: Api) -> None:
    filled(api, many=60)
    admin = person(api)
    text = admin.get("/software/repositories/tools").text
    assert "60 packages" in text
    assert "&lt;b&gt;ours&lt;/b&gt;" in text
    assert "agent49" in text
    assert "agent50" not in text
    following = text[text.index('id="p-next" href="') + 18 :].partition('"')[0].replace("&amp;", "&")
    assert "agent59" in admin.get(following).text
    found = admin.get("/software/repositories/tools?search=agent+7").text
    assert "agent07" in found
    assert "agent08" not in found
    assert "deb [signed-by=/etc/apt/keyrings/pxeapp.gpg]" in text
    assert "60 packages" in admin.get("/software/repositories/tools/part").text
    assert "tools" in admin.get("/software/repositories/part").text
    assert admin.get("/software/repositories/nothing").status_code == HTTPStatus.NOT_FOUND


def test_uploads_removals_and_a_new_index_are_ordered(api: Api) -> None:
    filled(api)
    admin = person(api)
    sha256 = store(api).add_bytes(b"a package").sha256
    sent = admin.post("/software/repositories/tools/packages", upload=f"{sha256} my agent_1.1_all.deb\r\n")
    assert sent.status_code == HTTPStatus.SEE_OTHER
    add = [{"sha256": sha256, "name": "my agent_1.1_all.deb", "component": ""}]
    assert order(api) == ("repository.publish", {"add": add, "remove": []})
    busy = admin.post("/software/repositories/tools/packages", remove="agent01=1.0")
    assert busy.status_code == HTTPStatus.CONFLICT
    assert "works on tools already" in busy.text
    idle(api)
    admin.post("/software/repositories/tools/packages", remove="agent01=1.0")
    assert order(api)[1] == {"add": [], "remove": ["agent01=1.0"]}
    idle(api)
    lost = admin.post("/software/repositories/tools/packages", upload=f"{'9' * 64} lost.deb")
    assert lost.status_code == HTTPStatus.NOT_FOUND
    assert "lost.deb has not been sent, or too long ago." in lost.text
    assert admin.post("/software/repositories/tools/packages").status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    admin.post("/software/repositories/tools/publish")
    assert order(api)[1] == {"again": True}
    assert admin.post("/software/repositories/nothing/publish").status_code == HTTPStatus.NOT_FOUND


def test_a_repository_that_a_role_reads_is_not_deleted(api: Api) -> None:
    filled(api)
    admin = person(api)
    said = {"repositories": [{"name": "tools", "url": "{node_url}/repo/tools", "suite": "stable"}]}
    made = api.of("admin").ask("POST", "/api/v1/roles", json={"name": "reader", "vars": said})
    assert made.status_code == HTTPStatus.CREATED, made.text
    refused = admin.post("/software/repositories/tools/delete")
    assert refused.status_code == HTTPStatus.CONFLICT
    assert "is read by role reader" in refused.text
    api.of("admin").ask("DELETE", "/api/v1/roles/reader")
    assert admin.post("/software/repositories/tools/delete").status_code == HTTPStatus.SEE_OTHER
    assert admin.get("/software/repositories/tools").status_code == HTTPStatus.NOT_FOUND


def test_keys_are_shown_and_changed_and_the_last_one_stays(api: Api) -> None:
    with api.write() as session:
        session.add(SigningKey(fingerprint="A" * 40, owner="pxeapp", public="", private="", created_at=now()))
    admin = person(api)
    text = admin.get("/software/repositories").text
    assert "A" * 40 in text
    assert "Retire this key" not in text
    refused = admin.post(f"/software/signing-keys/{'A' * 40}/retire")
    assert (refused.status_code, "is the only key" in refused.text) == (HTTPStatus.CONFLICT, True)
    assert admin.post("/software/signing-keys").status_code == HTTPStatus.SEE_OTHER
    assert order(api)[0] == "repository.sign"


def test_who_may_not_change_sees_no_forms(api: Api) -> None:
    filled(api)
    with api.write() as session:
        users.create_user(session, name="olga", password=PASSWORD, role=OPERATOR, actor="test", now=now())
    olga = person(api, "olga")
    assert "Add a repository" not in olga.get("/software/repositories").text
    text = olga.get("/software/repositories/tools").text
    assert "Upload packages" not in text
    assert "Delete this repository" not in text
    assert olga.post("/software/repositories/tools/packages", remove="agent01").status_code == HTTPStatus.FORBIDDEN
    assert olga.post("/software/repositories/tools/delete").status_code == HTTPStatus.FORBIDDEN
    assert olga.post("/software/signing-keys").status_code == HTTPStatus.FORBIDDEN
    assert olga.post("/software/repositories/tools/publish").status_code == HTTPStatus.SEE_OTHER
