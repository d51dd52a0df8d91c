"""Whom the agent's programs trust: the authorities of their own image, and the previews' where that is ours.

One file with both, because most programs that are told of a file read that one alone. Which variables name it,
the container's environment says; the bridge hands those on, and nothing else of its environment.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from sidecar.bridge.files import put, whole

BUNDLE: Final = "X1_TRUST_BUNDLE"
"""Where the file is made."""
ADDED: Final = "X1_TRUSTED_CA_FILE"
"""The previews' authority, PEM. Its file is missing where the previews' certificate is a public one's."""
NAMES: Final = (
    "SSL_CERT_FILE",  # OpenSSL, Python, Go, curl, Rust's and Ruby's clients
    "REQUESTS_CA_BUNDLE",  # requests and pip
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
)
SYSTEM: Final = tuple(
    Path(each)
    for each in (
        "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch
        "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora and its like
        "/etc/ssl/ca-bundle.pem",  # SUSE
        "/etc/ssl/cert.pem",
    )
)
"""As Go looks for them: https://go.dev/src/crypto/x509/root_linux.go"""


def lay_out(environment: Mapping[str, str], system: Sequence[Path] = SYSTEM) -> None:
    """Makes the bundle, anew, where the environment asks for one. Raises OSError, PathRefused."""
    if bundle := environment.get(BUNDLE):
        found = next((each for each in system if each.is_file()), None)
        added = Path(environment[ADDED]) if ADDED in environment else None
        parts = [each.read_bytes() for each in (found, added) if each and each.is_file()]
        put(whole(bundle), b"\n".join(parts), 0o644)


def with_own_trust(environment: Mapping[str, str]) -> dict[str, str]:
    """What `environment` says itself stands."""
    own = {name: os.environ[name] for name in NAMES if name in os.environ}
    return {**own, **environment}
