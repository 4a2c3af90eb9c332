"""Styles and scripts: one file of each kind before a page is drawn, kept by browsers for as long as it is the same."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest

from pxeapp.ui import assets
from tests.api.conftest import Api
from tests.ui.served import needs_assets

SHEETS = re.compile(r'<link rel="stylesheet" href="([^"]+)">')


def sheets(page: str) -> list[str]:
    return [each.replace("&amp;", "&") for each in SHEETS.findall(page)]


def fetched(api: Api, path: str, **headers: str) -> Any:
    with api.app.test_client().get(path, headers=headers) as reply:
        reply.get_data()
        return reply


def test_a_page_waits_for_one_style_sheet_that_holds_all_of_them(api: Api) -> None:
    page = fetched(api, "/login")
    (sheet,) = sheets(page.text)
    found = fetched(api, sheet)
    assert (found.status_code, found.mimetype) == (200, "text/css")
    web = Path(api.app.config["WEB_FOLDER"]) / "static"
    assert found.text.startswith((web / "pxeapp.css").read_text())
    assert "@media (prefers-color-scheme: dark)" in found.text.removeprefix((web / "pxeapp.css").read_text())


@pytest.mark.parametrize(("theme", "dark"), [("light", False), ("dark", True)])
def test_a_chosen_theme_is_what_it_is_whatever_the_system_is(api: Api, theme: str, dark: bool) -> None:
    web = Path(api.app.config["WEB_FOLDER"]) / "static"
    client = api.app.test_client()
    client.set_cookie("pxeapp_theme", theme)
    (sheet,) = sheets(client.get("/login").text)
    text = fetched(api, sheet).text.removeprefix((web / "pxeapp.css").read_text())
    assert text.strip() == ((web / "dark.css").read_text().strip() if dark else "")


def test_what_an_address_names_stays_and_another_version_of_it_does_not(api: Api) -> None:
    (sheet,) = sheets(fetched(api, "/login").text)
    kept = fetched(api, sheet).headers["Cache-Control"]
    assert "immutable" in kept
    assert "max-age=31536000" in kept
    other = fetched(api, re.sub(r"v=\w+", "v=0123456789ab", sheet)).headers["Cache-Control"]
    assert "immutable" not in other
    assert "max-age=3600" in other


def test_a_changed_file_has_another_address(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "static").mkdir()
    file = tmp_path / "static" / "pxeapp.css"
    monkeypatch.setitem(api.app.config, "WEB_FOLDER", tmp_path)
    found = []
    for text in ("a { color: red }", "a { color: blue }"):
        file.write_text(text)
        with api.app.test_request_context():
            found.append(assets.styles(theme="light"))
    assert found[0] != found[1]


def test_it_is_packed_for_whoever_takes_it_packed(api: Api) -> None:
    (sheet,) = sheets(fetched(api, "/login").text)
    packed, plain = fetched(api, sheet, **{"Accept-Encoding": "gzip"}), fetched(api, sheet)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert "Content-Encoding" not in plain.headers
    again = fetched(api, sheet, **{"If-None-Match": plain.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("name", [
    "nothing.css", "..", "pxeapp.css+", "pxeapp.css+pxeapp.js", "../templates/base.html", "pxeapp.css+../x.css",
    "+".join(["pxeapp.css"] * 11), "",
])  # fmt: skip
def test_nothing_but_our_files_is_given(api: Api, name: str) -> None:
    assert fetched(api, f"/assets/page/{name}").status_code == 404


@needs_assets
def test_every_page_runs_one_file_of_scripts_besides_its_own(api: Api) -> None:
    (src,) = re.findall(r'<script src="([^"]+)" defer>', fetched(api, "/login").text)
    text = fetched(api, src.replace("&amp;", "&")).text
    own = (Path(api.app.config["WEB_FOLDER"]) / "static" / "pxeapp.js").read_text()
    assert text.endswith(own)
    assert {"htmx", "Idiomorph"} <= set(re.findall(r"\w+", text.removesuffix(own)))
