"""TLS on a port beside NODE_LISTEN, with a certificate that is renewed while the front runs."""

from __future__ import annotations

import datetime as dt
import hashlib
import http.client
import socket
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pxeapp.db import now
from pxeapp.software.front import process
from tests.ports import free_port
from tests.software.front.running import ADDRESS, Running, until


@dataclass(frozen=True, slots=True)
class Made:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


def certificate(folder: Path, name: str = "localhost") -> Made:
    """One that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = [x509.DNSName(name), x509.IPAddress(ip_address(ADDRESS))]
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now() - dt.timedelta(days=1))
        .not_valid_after(now() + dt.timedelta(days=2)).add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    found = Made(folder / "tls.pem", folder / "tls.key")
    found.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    found.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return found


def shown(port: int) -> str:
    """The hash of the certificate that is shown on a port now."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((ADDRESS, port), 5) as raw, context.wrap_socket(raw) as tls:
        return hashlib.sha256(tls.getpeercert(binary_form=True) or b"").hexdigest()


@pytest.mark.nginx
@pytest.mark.network
@pytest.mark.skipif(process.program() is None, reason="nginx is not installed")
def test_machines_are_served_by_tls_and_a_renewed_certificate_is_taken_without_a_restart(tmp_path: Path) -> None:
    made, port = certificate(tmp_path), free_port()
    front = Running(
        tmp_path / "data", "debian=http://mirror.invalid/debian", node_tls_listen=f"{ADDRESS}:{port}",
        node_tls_certificate=str(made.certificate), node_tls_key=str(made.key),
    )  # fmt: skip
    try:
        trusted = ssl.create_default_context(cafile=str(made.certificate))
        connection = http.client.HTTPSConnection(ADDRESS, port, timeout=10, context=trusted)
        connection.request("GET", "/repo/none")
        assert connection.getresponse().status == 404
        connection.close()
        before = shown(port)
        certificate(tmp_path)
        front.change("debian", freshness_s=1)  # look now, and not in some minutes
        until(lambda: shown(port) != before, "the new certificate is shown")
    finally:
        front.close()
