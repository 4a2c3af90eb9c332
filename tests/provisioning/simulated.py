"""A machine that exists only as HTTP requests: it boots, reads its answers and reports as a real one does."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from werkzeug.test import Client


@dataclass
class SimulatedMachine:
    """Drives the machines' application from one source address."""

    client: Client
    mac: str
    address: str = "10.77.0.11"
    script: str = ""
    answer_url: str = ""
    callback_url: str = ""
    media: list[str] = field(default_factory=list)

    def get(self, path: str) -> tuple[int, str]:
        with self.client.get(path, environ_overrides={"REMOTE_ADDR": self.address}) as reply:
            return reply.status_code, reply.get_data(as_text=True)

    def netboot(self) -> str:
        """Fetch the iPXE script; remember what it says."""
        status, self.script = self.get(f"/boot/ipxe?mac={self.mac}&serial=S1")
        assert status == 200
        self.media = re.findall(r"http://[^/]+(/media/\S+)", self.script)
        if found := re.search(r"http://[^/]+(/a/[\w-]+)/", self.script):
            self.answer_url = found[1]
        return self.script

    @property
    def was_given_an_installer(self) -> bool:
        return bool(self.media)

    def fetch_kernel(self) -> list[int]:
        return [self.get(path)[0] for path in self.media]

    def fetch_answer(self, kind: str = "kickstart") -> str:
        status, text = self.get(f"{self.answer_url}/{kind}")
        assert status == 200, text
        found = re.search(r"http://[^/\s]+(/c/[\w-]+)", text)
        assert found is not None
        self.callback_url = found[1]
        return text

    def report(self, event: str, message: str = "") -> int:
        reply = self.client.post(
            f"{self.callback_url}/events",
            json={"event": event, "message": message},
            environ_overrides={"REMOTE_ADDR": self.address},
        )
        return reply.status_code
