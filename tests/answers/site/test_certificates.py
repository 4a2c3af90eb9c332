"""Authorities in installers without a bundle: found by OpenSSL itself, under the name that it looks for."""

from __future__ import annotations

import datetime
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type as Kind
from cryptography.x509.oid import NameOID

from pxeapp.answers import site
from pxeapp.answers.site.subject_hash import subject_hash
from tests.answers.samples import TEMPLATES, spec
from tests.answers.site.sample import CA, with_site
from tests.answers.test_running import SHELLS, run

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
AT = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def attribute(oid: x509.ObjectIdentifier, value: str, kind: Kind | None = None) -> x509.NameAttribute:
    return x509.NameAttribute(oid, value, kind)


NAMES = {
    "plain": [[attribute(NameOID.COMMON_NAME, "Example Root CA")]],
    "blanks and capitals": [[attribute(NameOID.ORGANIZATION_NAME, "  The   EXAMPLE\tCompany \n")]],
    "beyond ASCII": [[attribute(NameOID.COMMON_NAME, "\u00c4RGER \u65e5\u672c\u8a9e  CA")]],
    "printable and mail": [
        [attribute(NameOID.COUNTRY_NAME, "DE")],
        [attribute(NameOID.ORGANIZATION_NAME, "Example Ltd", Kind.PrintableString)],
        [attribute(NameOID.EMAIL_ADDRESS, "CA@Example.ORG", Kind.IA5String)],
    ],
    "two bytes each": [[attribute(NameOID.COMMON_NAME, "Gro\u00df  CA", Kind.BMPString)]],
    "four bytes each": [[attribute(NameOID.COMMON_NAME, "Root  CA", Kind.UniversalString)]],
    "numbers": [[attribute(NameOID.SERIAL_NUMBER, "12  34", Kind.NumericString)]],
    "several in one": [
        [
            attribute(NameOID.ORGANIZATION_NAME, "Z"),
            attribute(NameOID.COMMON_NAME, "A"),
            attribute(NameOID.LOCALITY_NAME, "B"),
        ]
    ],
    "long": [[attribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "x" * 60)] for _ in range(6)],
    "empty": [],
}  # fmt: skip


def authority(name: list[list[x509.NameAttribute]]) -> str:
    """A self-signed one, as PEM."""
    key = Ed25519PrivateKey.generate()
    subject = x509.Name([x509.RelativeDistinguishedName(each) for each in name])
    made = x509.CertificateBuilder(subject, subject, key.public_key(), 1, AT, AT + datetime.timedelta(36500))
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    return made.sign(key, None).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize("name", NAMES)
def test_the_hash_is_openssls(name: str, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(authority(NAMES[name]))
    said = subprocess.run(
        ["openssl", "x509", "-noout", "-subject_hash", "-in", str(tmp_path / "ca.pem")],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout.strip()  # fmt: skip
    assert subject_hash(x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())) == said


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_an_installer_without_a_bundle_trusts_them_and_what_it_trusted_before(
    shell: tuple[str, ...], tmp_path: Path
) -> None:
    """Two authorities of one name have one hash: each is still found, and so is a file that was there."""
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    twins = [authority(NAMES["plain"]), authority(NAMES["plain"])]
    found = with_site(
        spec("debian", "13"), {"ca_certificates": [{"name": "two", "pem": "".join(twins)}, {"name": "one", "pem": CA}]}
    )
    ((hash_of_ca, _),) = site.read({"ca_certificates": [{"name": "one", "pem": CA}]}).ca_certificates[0].hashed
    folder = tmp_path / "ssl/certs"
    folder.mkdir(parents=True)
    (folder / f"{hash_of_ca}.0").write_text(before := authority(NAMES["plain"]))
    text = TEMPLATES.render("boot/site/installer_certificates.sh", spec=found).replace("/etc/", f"{tmp_path}/")
    assert run(shell, f"set -e\n{text}").returncode == 0
    assert sorted(path.name for path in folder.iterdir()) == [f"{hash_of_ca}.{number}" for number in range(4)]
    assert (folder / f"{hash_of_ca}.0").read_text() == before
    for number, pem in enumerate([*twins, CA]):
        (tmp_path / f"{number}.pem").write_text(pem)
        done = subprocess.run(
            ["openssl", "verify", "-no-CAfile", "-CApath", str(folder), str(tmp_path / f"{number}.pem")],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
