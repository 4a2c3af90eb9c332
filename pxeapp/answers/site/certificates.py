"""Certificate authorities that the installed system trusts, and its installer where it can."""

from __future__ import annotations

from typing import Annotated, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import AfterValidator, BeforeValidator, StrictStr

from pxeapp.answers.site.subject_hash import subject_hash
from pxeapp.answers.site.words import Name, Part, Unfit

FIX = "Paste the certificate: -----BEGIN CERTIFICATE----- and all that follows."


def _one_text(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and all(isinstance(line, str) for line in value):
        return "".join(f"{line}\n" for line in value)
    return value


def _authorities(value: str) -> str:
    """Each certificate written anew: what else stood in the file, comments or a private key, goes nowhere."""
    if "PRIVATE KEY" in value:
        raise Unfit("holds a private key.", "Take it out, and think of it as published; a certificate is all we need.")
    try:
        found = x509.load_pem_x509_certificates(value.encode())
        written = "".join(each.public_bytes(Encoding.PEM).decode() for each in found)
        for each in found:
            subject_hash(each)  # an installer looks for it by this
    except ValueError:
        raise Unfit("is no certificate.", FIX) from None
    for number, each in enumerate(found, 1):
        if not _may_sign(each):
            raise Unfit(f"is no authority: certificate {number} may not sign others.", "Give the authority's own.")
    return written


def _may_sign(certificate: x509.Certificate) -> bool:
    """An old root without the extension may; one that says that it is no authority may not."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return certificate.issuer == certificate.subject
    except ValueError:
        return False


class Certificate(Part):
    """One or more authorities under a name."""

    name: Name
    pem: Annotated[StrictStr, BeforeValidator(_one_text), AfterValidator(_authorities)]

    @property
    def single(self) -> list[tuple[str, str]]:
        """Each in a file of its own, as Debian's update-ca-certificates wants them."""
        end = "-----END CERTIFICATE-----\n"
        texts = [f"{text}{end}" for text in self.pem.split(end)[:-1]]
        many = len(texts) > 1
        return [(f"pxeapp-{self.name}{f'-{number}' if many else ''}", text) for number, text in enumerate(texts, 1)]

    @property
    def hashed(self) -> list[tuple[str, str]]:
        """Each with what OpenSSL looks for it by, where there is a folder of them and no bundle."""
        return [(subject_hash(x509.load_pem_x509_certificate(text.encode())), text) for _, text in self.single]
