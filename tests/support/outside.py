"""The previews, as this machine reaches them: at X1_TEST_INGRESS, or where the Gateway says that it is."""

import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from clusters import SESSIONS, kubectl

INGRESS = os.environ.get("X1_TEST_INGRESS", "")


@dataclass(frozen=True)
class Outside:
    """How this machine reaches the previews: the ingress, and the authority that an operator hands out."""

    address: str
    authority: Path

    @classmethod
    def with_authority_in(cls, folder: Path) -> "Outside":
        authority = folder / "ca.crt"
        words = ("-n", SESSIONS, "-o", r"jsonpath={.data.ca\.crt}")
        authority.write_text(kubectl("get", "configmap", "previews-ca", *words))
        return cls(INGRESS or f"{_gateway()}:443", authority)

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))

    def asked(self, url: str) -> httpx.Response:
        host = urlsplit(url).hostname
        with httpx.Client(trust_env=False, verify=self.trusting(), timeout=20) as http:
            return http.get(
                f"https://{self.address}/",
                headers={"host": host},
                extensions={"sni_hostname": host},
            )

    def certificate(self, url: str) -> bytes:
        """The one shown for `url`, DER, verified."""
        host, _, port = self.address.rpartition(":")
        with (
            socket.create_connection((host, int(port)), timeout=20) as plain,
            self.trusting().wrap_socket(plain, server_hostname=urlsplit(url).hostname) as tls,
        ):
            return tls.getpeercert(binary_form=True)


def _gateway() -> str:
    words = ("-n", "x1-gateway", "-o", "jsonpath={.status.addresses[0].value}")
    return kubectl("get", "gateway", "previews", *words).strip()
