"""Somebody at a browser, as far as forms go: signed in, with the token that every form of ours carries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from flask.testing import FlaskClient

from tests.api.conftest import Api
from tests.ui.test_sign_in import sign_in


@dataclass
class Person:
    """A client with a session."""

    client: FlaskClient
    csrf: str

    def get(self, path: str, **more: Any) -> Any:
        return self.client.get(path, **more)

    def post(self, path: str, **fields: Any) -> Any:
        return self.client.post(path, data={"csrf": self.csrf, **fields})


def person(api: Api, name: str = "admin") -> Person:
    client = api.app.test_client()
    sign_in(client, name)
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/machines").text)
    assert found is not None
    return Person(client, found[1])
