"""Exits 0 when the appliance in this container is ready to work, else with the reason: what HEALTHCHECK runs."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

from pxeapp import config

TIMEOUT_S = 5
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound

listen = config.load().http_listen
host = "127.0.0.1" if listen.host in EVERYWHERE else listen.host
if ":" in host:
    host = f"[{host}]"
try:
    with urllib.request.urlopen(f"http://{host}:{listen.port}/readyz", timeout=TIMEOUT_S) as reply:
        print(reply.read().decode())
except urllib.error.HTTPError as error:
    sys.exit(error.read().decode(errors="replace"))
except OSError as error:
    sys.exit(f"No answer from {host}:{listen.port}: {error}")
