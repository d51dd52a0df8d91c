"""The previews' certificate where nobody brings one: an authority of the installation's own, and its wildcard.

Both are made once and kept in the cluster. Private keys lie in the Gateway's namespace and nowhere else; who is to
trust the authority finds its certificate in ConfigMaps. A wildcard that ends within a month, or is for another
domain, is made anew by the next installation or upgrade; whoever trusts the authority trusts that one, too.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.cluster.kubectl import Kubectl

GATEWAY: Final = "x1-gateway"
AUTHORITY: Final = "previews-authority"
WILDCARD: Final = "previews-tls"
TRUSTED: Final = "previews-ca"
TRUSTING: Final = ("x1-operations", "x1-sessions")
AUTHORITY_LIFETIME: Final = timedelta(days=3650)
WILDCARD_LIFETIME: Final = timedelta(days=397)
"""Longer ones are refused by browsers: https://support.apple.com/en-us/103214"""
RENEW_BEFORE: Final = timedelta(days=30)
SKEW: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A private key and its certificate, both PEM, as a Secret of type kubernetes.io/tls holds them."""

    key: str
    certificate: str


def ensure(kubectl: Kubectl, domain: str) -> list[str]:
    """What stands and fits is left. Returns the names of what was made or changed."""
    authority = _read(kubectl, AUTHORITY)
    changed: list[str] = []
    if authority is None:
        authority = make_authority()
        changed.append(_apply_pair(kubectl, AUTHORITY, authority))
    wildcard = _read(kubectl, WILDCARD)
    if wildcard is None or not fits(wildcard, authority, domain, datetime.now(UTC)):
        wildcard = make_wildcard(authority, domain)
        changed.append(_apply_pair(kubectl, WILDCARD, wildcard))
    for namespace in TRUSTING:
        wanted = {"ca.crt": authority.certificate}
        found = kubectl.get("configmap", TRUSTED, namespace)
        if found is None or found.get("data") != wanted:
            _apply(kubectl, "ConfigMap", TRUSTED, namespace, {"data": wanted})
            changed.append(f"ConfigMap/{TRUSTED} in {namespace}")
    return changed


def make_authority() -> Pair:
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x1flows previews")])
    now = datetime.now(UTC)
    certificate = (
        _builder(name, key, now + AUTHORITY_LIFETIME)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _pair(key, certificate)


def make_wildcard(authority: Pair, domain: str) -> Pair:
    """For `*.<domain>`, signed by the authority."""
    signer, issuer = _key(authority), _certificate(authority)
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _wildcard(domain)[:64])])
    ends_at = min(datetime.now(UTC) + WILDCARD_LIFETIME, issuer.not_valid_after_utc)
    certificate = (
        _builder(name, key, ends_at)
        .issuer_name(issuer.subject)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(_wildcard(domain))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
    return _pair(key, certificate)


def fits(wildcard: Pair, authority: Pair, domain: str, now: datetime) -> bool:
    """For this domain, by this authority, and good for a while yet."""
    certificate = _certificate(wildcard)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    issuer = _certificate(authority)
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return (
        names.get_values_for_type(x509.DNSName) == [_wildcard(domain)]
        and now + RENEW_BEFORE < certificate.not_valid_after_utc
    )


def _wildcard(domain: str) -> str:
    return f"*.{domain}"


def _builder(
    subject: x509.Name, key: EllipticCurvePrivateKey, ends_at: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - SKEW)
        .not_valid_after(ends_at)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pair(key: EllipticCurvePrivateKey, certificate: x509.Certificate) -> Pair:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pair(key=private.decode(), certificate=certificate.public_bytes(Encoding.PEM).decode())


def _key(pair: Pair) -> EllipticCurvePrivateKey:
    key = load_pem_private_key(pair.key.encode(), password=None)
    assert isinstance(key, EllipticCurvePrivateKey)
    return key


def _certificate(pair: Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate.encode())


def _read(kubectl: Kubectl, name: str) -> Pair | None:
    found = kubectl.get("secret", name, GATEWAY)
    if found is None:
        return None
    data: Mapping[str, str] = found["data"]
    return Pair(
        key=base64.b64decode(data["tls.key"]).decode(),
        certificate=base64.b64decode(data["tls.crt"]).decode(),
    )


def _apply_pair(kubectl: Kubectl, name: str, pair: Pair) -> str:
    content = {"tls.key": pair.key, "tls.crt": pair.certificate}
    data = {key: base64.b64encode(text.encode()).decode() for key, text in content.items()}
    _apply(kubectl, "Secret", name, GATEWAY, {"type": "kubernetes.io/tls", "data": data})
    return f"Secret/{name} in {GATEWAY}"


def _apply(
    kubectl: Kubectl, kind: str, name: str, namespace: str, content: Mapping[str, Any]
) -> None:
    labels = {"app.kubernetes.io/part-of": "x1flows"}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    kubectl.apply(json.dumps({"apiVersion": "v1", "kind": kind, "metadata": metadata, **content}))
