"""Headless Chromium, as far as a test needs one: a page's text, its answer's headers, its picture.

Names lead to the ingress by a rule, since nothing in this machine's DNS knows them. One certificate is trusted by
the digest of its key: whoever gives it here has verified it.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")


@dataclass(frozen=True)
class Seen:
    """`page` is the document as it stands after its load; `headers` are its answer's, in lower case."""

    page: str
    headers: dict[str, str]
    picture: bytes


def look(url: str, ingress: str, certificate: bytes, folder: Path) -> Seen:
    """`certificate` is DER. A page that is not trusted has neither headers nor a picture."""
    picture, log = folder / "page.png", folder / "net.json"
    command = [
        *(str(PROGRAM), "--headless", "--disable-gpu", "--no-first-run"),
        *(["--no-sandbox"] if os.geteuid() == 0 else []),  # Chromium's own rule for root
        f"--user-data-dir={folder / 'profile'}",
        f"--host-resolver-rules=MAP {urlsplit(url).hostname} {ingress}",
        f"--ignore-certificate-errors-spki-list={_key_digest(certificate)}",
        *(f"--screenshot={picture}", "--window-size=800,400"),
        *(f"--log-net-log={log}", "--dump-dom", url),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return Seen(done.stdout, _headers(log), picture.read_bytes() if picture.exists() else b"")


def _key_digest(certificate: bytes) -> str:
    key = x509.load_der_x509_certificate(certificate).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


def _headers(log: Path) -> dict[str, str]:
    """Of the first answer in the log, which is the document's."""
    told = json.loads(log.read_text())
    wanted = told["constants"]["logEventTypes"]["HTTP_TRANSACTION_READ_RESPONSE_HEADERS"]
    answers = [each["params"]["headers"] for each in told["events"] if each["type"] == wanted]
    pairs = [each.partition(":") for each in answers[0][1:]] if answers else []
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
