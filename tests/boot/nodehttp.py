"""The machines' HTTP as far as firmware needs it: scripts, boot programs and media from one folder. Run in a namespace.

`python nodehttp.py ADDRESS PORT ROOT LOG`; each request becomes a line in LOG.
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD below ROOT; `/boot/ipxe?mac=` is `ROOT/ipxe/MAC`, for others `ROOT/ipxe/default`."""

    root: Path
    log: Path

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        url = urlsplit(self.path)
        path = self.root / url.path.lstrip("/")
        if url.path == "/boot/ipxe":
            path = self._script(parse_qs(url.query).get("mac", [""])[0])
        if not path.is_file():
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(path.stat().st_size))
        self.end_headers()
        if body:
            self.wfile.write(path.read_bytes())

    def _script(self, mac: str) -> Path:
        """`ROOT/ipxe/MAC.first` at the first request, if it is there; then MAC; for others `default`."""
        first = self.root / "ipxe" / f"{mac}.first"
        if first.is_file():
            return first.rename(first.with_suffix(".served"))
        path = self.root / "ipxe" / mac
        return path if mac and path.is_file() else self.root / "ipxe" / "default"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        with self.log.open("a") as log:
            log.write(f"{self.command} {self.path} {int(code)}\n")


def main() -> None:
    """Serve until killed."""
    Handler.root = Path(sys.argv[3])
    Handler.log = Path(sys.argv[4])
    ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()


if __name__ == "__main__":
    main()
