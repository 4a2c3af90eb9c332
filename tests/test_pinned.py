"""Where an operator's URL may lead, and that the address that was looked at is the one that is meant."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from netaddr import IPNetwork

from pxeapp import pinned
from pxeapp.errors import Unavailable


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("2001:db8::1%eth0", True),
        ("224.0.0.1", False),
        ("10.1.2.3", True),
        ("192.0.2.7", True),
        ("2001:db8::1", True),
    ],
)
def test_the_address_policy(address: str, allowed: bool) -> None:
    assert pinned.allowed(address, ()) is allowed


def test_networks_that_are_named_are_the_only_ones() -> None:
    lan = (IPNetwork("10.0.0.0/8"), IPNetwork("fe80::/10"))
    addresses = ["192.0.2.7", "::ffff:10.1.2.3", "10.1.2.3", "fe80::1%eth0"]
    assert [pinned.allowed(address, lan) for address in addresses] == [False, False, True, True]
    assert pinned.first_allowed(addresses, lan) == "10.1.2.3"
    assert pinned.first_allowed(addresses[:2], lan) is None


def test_each_address_is_named_once_and_without_its_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def resolver(host: str, port: int, **_: Any) -> Any:
        asked.append((host, port))
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 2))
            for address in ("fe80::1%eth0", "fe80::1%eth1", "2001:db8::1")
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    assert pinned.resolve(urlsplit("https://host.example/x")) == ["fe80::1", "2001:db8::1"]
    assert pinned.resolve(urlsplit("http://host.example:81/x")) == ["fe80::1", "2001:db8::1"]
    assert asked == [("host.example", 443), ("host.example", 81)]


def test_a_name_that_no_dns_takes_is_a_sentence() -> None:
    with pytest.raises(Unavailable, match="cannot be resolved"):
        pinned.resolve(urlsplit(f"http://{'a' * 64}.example/"))
