"""The demo's way to the appliance: whoever ends the appliance from outside gets a sentence, not a traceback."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pxeapp.errors import PxeError
from pxeapp.lab.client import Api
from tests.ports import free_port


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"state": "active"}')

    def log_message(self, *_: object) -> None:
        """Nothing on the tests' terminal."""


def test_an_appliance_that_was_ended_is_said_in_a_sentence() -> None:
    api = Api(f"http://127.0.0.1:{free_port()}", "token", patience=0.0)
    for ask in (lambda: api.get("/machines/node1"), lambda: api.post("/machines/node1/deploy", {})):
        with pytest.raises(PxeError) as gone:
            ask()
        assert "does not answer any more" in gone.value.sentence
        assert "log" in gone.value.hint


def test_one_that_is_being_restarted_is_waited_for() -> None:
    port = free_port()

    def later() -> None:
        time.sleep(1.0)
        with HTTPServer(("127.0.0.1", port), Answering) as server:
            server.handle_request()

    thread = threading.Thread(target=later)
    thread.start()
    try:
        assert Api(f"http://127.0.0.1:{port}", patience=60.0).get("/machines/node1") == {"state": "active"}
    finally:
        thread.join(60)
