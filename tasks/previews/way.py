"""How a preview's URL is reached from here: through which address, trusting whose certificates and stamps."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult

from tasks.previews.stamps import Stamps

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """`address` is the ingress as `host:port`, for names that are not resolved here; empty: as the URL says.

    `ca_file` holds the authority of the previews' certificate, when it is not a public one. `stamps` are there
    where the proxy does not name the revision in its answers: behind an Ingress.
    """

    address: str = ""
    ca_file: Path | None = None
    stamps: Stamps | None = None

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)

    def place(self, url: SplitResult) -> tuple[str, dict[str, Any]]:
        """Where to connect, and httpx's extensions that keep the certificate's check on the URL's own name.

        Names under `.localhost` are at 127.0.0.1: not every resolver knows them.
        """
        host = url.hostname or ""
        if self.address:
            return self.address, {"sni_hostname": host}
        target = LOOPBACK if host.endswith(".localhost") else host
        return f"{target}:{url.port}" if url.port else target, {}
