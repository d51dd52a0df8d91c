"""The key that signs the registry's tokens, and the certificate by which the registry knows it.

Self-signed: registry and relay are the only two that it is for. Replacing both, and restarting both, is a
rotation; logins that were given out before it end with it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import Certificate, CertificateBuilder, Name, NameAttribute
from cryptography.x509 import random_serial_number as serial
from cryptography.x509.oid import NameOID

KEY: Final = "registry-key.pem"
CERTIFICATE: Final = "registry-cert.pem"
LIFETIME: Final = timedelta(days=3650)


def make(whole: Mapping[str, str]) -> Mapping[str, str]:
    """Both or none: one without the other is of no use."""
    if KEY in whole and CERTIFICATE in whole:
        return {}
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    certificate = _certificate(key).public_bytes(serialization.Encoding.PEM)
    return {KEY: private.decode(), CERTIFICATE: certificate.decode()}


def _certificate(key: ec.EllipticCurvePrivateKey) -> Certificate:
    name = Name([NameAttribute(NameOID.COMMON_NAME, "x1-relay registry tokens")])
    now = datetime.now(UTC)
    return (
        CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
        .sign(key, hashes.SHA256())
    )
