"""What the sidecar of one pod proves itself with: made with the pod, and for no other.

The gateway knows the certificate by its digest, which is in the log, and goes by nothing else:
name, dates and issuer are there because X.509 wants some.
"""

from __future__ import annotations

import ssl
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "isola-sidecar")])
_FROM = datetime(2026, 1, 1, tzinfo=UTC)
_FOR_EVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280, 4.1.2.5


class Credentials(NamedTuple):
    """A certificate and its key.

    Attributes:
        certificate: PEM.
        key: PKCS #8 in DER, base64url: a text that may be the name of a directory.
    """

    certificate: str
    key: str


def fresh() -> Credentials:
    """Return new ones: ECDSA on P-256, the certificate signed by its own key."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_FOR_EVER)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return Credentials(
        certificate.public_bytes(Encoding.PEM).decode(), urlsafe_b64encode(private).decode()
    )


def fingerprint(certificate: str) -> str:
    """Return the SHA-256 of a certificate in PEM, hexadecimal; empty for what is none."""
    try:
        return sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()
    except ValueError:
        return ""
