"""One signed POST to an address that an operator wrote: no redirect, no second look at the name, a deadline for all.

The receiver checks: HMAC-SHA256 with the secret over `TIMESTAMP.BODY` is what `Pxeapp-Signature: sha256=...` says, and
the timestamp (seconds since 1970, in `Pxeapp-Timestamp`) is not older than a few minutes.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult

from netaddr import IPNetwork

from pxeapp import pinned
from pxeapp.errors import PxeError
from pxeapp.software import fetch

TIMEOUT_S = 5.0  # for connecting, and for each silence
DEADLINE_S = 15.0  # for the whole request, however busily the receiver trickles
OK = range(200, 300)


@dataclass(frozen=True, slots=True)
class Sent:
    """How it went: the receiver's answer if there was one, and why it does not count as delivered."""

    status: int | None
    problem: str = ""


def body(what: Mapping[str, Any]) -> bytes:
    """The bytes that are sent and signed."""
    return json.dumps(what, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def signature(secret: str, timestamp: int, content: bytes) -> str:
    """What the receiver computes too."""
    return "sha256=" + hmac.new(secret.encode(), b"%d." % timestamp + content, hashlib.sha256).hexdigest()


def post(
    url: str,
    content: bytes,
    *,
    secret: str,
    event: str,
    delivery: int,
    timestamp: int,
    networks: Sequence[IPNetwork],
    deadline_s: float = DEADLINE_S,
) -> Sent:
    """Send it once; never raises for what the receiver, the network or the policy does."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "pxeapp",
        "Pxeapp-Event": event,
        "Pxeapp-Delivery": str(delivery),
        "Pxeapp-Timestamp": str(timestamp),
        "Pxeapp-Signature": signature(secret, timestamp, content),
    }
    try:
        parts = fetch.check_url(url)
        connection = _connect(parts, networks)
    except PxeError as error:
        return Sent(None, str(error))
    late = threading.Timer(deadline_s, connection.cut)
    late.daemon = True
    late.start()
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body=content, headers=headers)
        status = connection.getresponse().status  # of its body nothing is read
    except (OSError, http.client.HTTPException, ValueError) as error:
        if connection.was_cut:
            return Sent(None, f"It took longer than {deadline_s:.0f} s.")
        return Sent(None, f"It cannot be reached: {str(error) or type(error).__name__}."[:500])
    finally:
        late.cancel()
        connection.close()
    if status in OK:
        return Sent(status)
    more = " Redirects are not followed; give the final address." if status in range(300, 400) else ""
    return Sent(status, f"It answered {status}.{more}")


def _connect(parts: SplitResult, networks: Sequence[IPNetwork]) -> pinned.CuttableConnection:
    addresses = pinned.resolve(parts)
    address = pinned.first_allowed(addresses, networks)
    if address is None:
        raise PxeError(
            f"{parts.hostname} is {', '.join(addresses)}, which may not be contacted.",
            hint="PXEAPP_WEBHOOK_NETWORKS names what is allowed.",
        )
    return pinned.CuttableConnection(parts, address, TIMEOUT_S)
