"""An HTTP server in the appliance's place: remembers what scripts say to it and answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Appliance:
    """`answers` are given one after the other, the last one for ever."""

    url: str = ""
    answers: list[int] = field(default_factory=lambda: [200])
    events: list[dict[str, Any]] = field(default_factory=list)
    logs: dict[str, bytes] = field(default_factory=dict)


@contextmanager
def running(*answers: int) -> Iterator[Appliance]:
    """An appliance that answers with these statuses."""
    appliance = Appliance(answers=list(answers) or [200])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            appliance.events.append(json.loads(self._body()))
            self._answer()

        def do_PUT(self) -> None:
            appliance.logs[self.path.rsplit("/", 1)[1]] = self._body()
            self._answer()

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers["Content-Length"]))

        def _answer(self) -> None:
            status = appliance.answers.pop(0) if len(appliance.answers) > 1 else appliance.answers[0]
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        appliance.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield appliance
        finally:
            server.shutdown()
            thread.join()
