"""How a cloud is asked: as whom, by which certificates, at which addresses, for how long; what its refusals say."""

from __future__ import annotations

import datetime as dt
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from netaddr import IPNetwork

from pxeapp.clouds import checking, services
from pxeapp.clouds.access import Access
from pxeapp.clouds.api import CloudApi
from pxeapp.clouds.errors import CloudAway, CloudRefused, CloudSaysNo
from tests.clouds.fake_cloud import PASSWORD, FakeCloud, Fault, running

pytestmark = pytest.mark.network
LOOPBACK = (IPNetwork("127.0.0.0/8"), IPNetwork("::1/128"))


@pytest.fixture(scope="module")
def shared() -> Iterator[FakeCloud]:
    with running() as found:
        found.add_compute("node1")
        found.add_compute("node2", status="disabled", state="down")
        found.add_agent("L3 agent", "node1")
        yield found


@pytest.fixture
def cloud(shared: FakeCloud) -> FakeCloud:
    shared.faults.clear()
    shared.asked.clear()
    return shared


def access(cloud: FakeCloud, **more: Any) -> Access:
    said = {"auth_url": f"{cloud.url}/identity/v3", "secret": PASSWORD, "username": "admin", "project": "admin"}
    return Access("prod", **{**said, **more})


def test_a_secret_is_in_no_representation(cloud: FakeCloud) -> None:
    assert PASSWORD not in repr(access(cloud))


def test_an_application_credential_signs_in_too(cloud: FakeCloud) -> None:
    own = access(cloud, application_credential="8f2a", username="", project="")
    assert len(CloudApi(own, LOOPBACK).get("compute", "/os-services")["services"]) == 2


def test_a_list_is_read_page_after_page(cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pxeapp.clouds.api.PAGE", 2)
    for number in range(5):
        cloud.add_server(f"vm{number}", "node1")
    found = CloudApi(access(cloud), LOOPBACK).every("compute", "/servers/detail", "servers", all_tenants=1)
    assert sorted(each["name"] for each in found) == [f"vm{number}" for number in range(5)]
    assert cloud.count("GET", "/servers/detail") == 3
    cloud.servers.clear()


@pytest.mark.parametrize(
    ("code", "raised", "says"),
    [
        (403, CloudRefused, "needs the role admin"),
        (404, CloudSaysNo, "Nova of prod says: made up by a test"),
        (406, CloudRefused, "older than the microversion 2.79"),
        (409, CloudSaysNo, "made up by a test"),
        (429, CloudAway, "answers 429"),
        (500, CloudAway, "answers 500"),
        (504, CloudAway, "answers 504"),
    ],
)
def test_each_refusal_is_a_sentence_and_says_whether_it_may_pass(
    cloud: FakeCloud, code: int, raised: type[Exception], says: str
) -> None:
    cloud.faults.append(Fault("GET", "os-services", code))
    with pytest.raises(raised, match=says):
        services.compute(CloudApi(access(cloud), LOOPBACK), "node1")


def test_keystone_that_is_restarted_may_pass_and_a_wrong_password_does_not(cloud: FakeCloud) -> None:
    cloud.faults.append(Fault("POST", "auth/tokens", 503))
    own = CloudApi(access(cloud), LOOPBACK)
    with pytest.raises(CloudAway):
        own.get("compute", "/os-services")
    assert own.get("compute", "/os-services")
    with pytest.raises(CloudRefused, match="does not let us in"):
        CloudApi(access(cloud, secret="wrong"), LOOPBACK).get("compute", "/os-services")


def test_an_answer_is_waited_for_no_longer_than_was_said(cloud: FakeCloud) -> None:
    own = CloudApi(access(cloud), LOOPBACK)
    own.get("compute", "/os-services")
    cloud.faults.append(Fault("GET", "os-services", 200, slow_s=1.5, done=True))
    with own.within(0.5) as has_time:
        assert has_time()
        with pytest.raises(CloudAway):
            own.get("compute", "/os-services")
        assert not has_time()
        with pytest.raises(CloudAway):
            own.get("compute", "/os-services")


@contextmanager
def answering(
    status: int, headers: dict[str, str], body: bytes = b"", tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """A server that answers everything so."""

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _any  # noqa: N815 - http.server's names

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http{'s' if tls else ''}://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_redirect_to_another_host_is_refused_before_it_is_followed(cloud: FakeCloud) -> None:
    elsewhere = {"Location": f"{cloud.url}/identity/v3/auth/tokens"}
    with answering(302, elsewhere) as url, pytest.raises(CloudRefused, match="redirects to another host"):
        CloudApi(access(cloud, auth_url=f"{url}/v3"), LOOPBACK).services()
    assert cloud.asked == []


def test_what_is_no_json_may_pass(cloud: FakeCloud) -> None:
    own = CloudApi(access(cloud), LOOPBACK)
    own.services()
    with answering(200, {}, b"<html>a proxy</html>") as url:
        own._connection.compute.endpoint_override = url
        with pytest.raises(CloudAway, match="no JSON"):
            own.get("compute", "/os-services")


def test_an_address_that_may_not_be_contacted_is_refused(cloud: FakeCloud) -> None:
    with pytest.raises(CloudRefused, match="PXEAPP_ROLLOUT_NETWORKS"):
        CloudApi(access(cloud), ()).services()
    assert cloud.asked == []


def test_nobody_there_may_pass(cloud: FakeCloud) -> None:
    with pytest.raises(CloudAway, match="does not answer"):
        CloudApi(access(cloud, auth_url="http://127.0.0.1:1/v3"), LOOPBACK).services()


def test_only_the_given_authority_is_believed(cloud: FakeCloud, tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with answering(503, {}, tls=context) as url:
        with pytest.raises(CloudRefused, match="certificate of prod is not trusted"):
            CloudApi(access(cloud, auth_url=f"{url}/v3"), LOOPBACK).services()
        with pytest.raises(CloudAway, match="answers 503"):
            CloudApi(access(cloud, auth_url=f"{url}/v3", ca=pem), LOOPBACK).services()
        other = certificate(tmp_path / "other")
        with pytest.raises(CloudRefused, match="certificate of prod is not trusted"):
            CloudApi(access(cloud, auth_url=f"{url}/v3", ca=other), LOOPBACK).services()


def test_a_check_says_what_each_service_shows(cloud: FakeCloud) -> None:
    found = checking.check(CloudApi(access(cloud), LOOPBACK))
    assert [(each.what, each.ok) for each in found] == [
        ("Keystone", True), ("Nova", True), ("Cinder", True), ("Neutron", True),
    ]  # fmt: skip
    assert found[1].says == "2 compute services, 1 up, 1 disabled; instances of all projects"
    cloud.faults.append(Fault("GET", "/network/v2.0/agents", 403))
    assert [each.ok for each in checking.check(CloudApi(access(cloud), LOOPBACK))] == [True, True, True, False]
    (only,) = checking.check(CloudApi(access(cloud, secret="wrong"), LOOPBACK))
    assert not only.ok


def certificate(folder: Path) -> str:
    """One of localhost that has signed itself."""
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    (folder / "cert.pem").write_bytes(pem)
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem.decode()
