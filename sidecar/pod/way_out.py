"""The agent's way out: a proxy on loopback that shows the session's pass to the egress proxy behind it.

The agent never holds the pass, and nothing else of the pod decides: the egress proxy looks at each connection.
Its answers, refusals included, go back as they come.
"""

import asyncio
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import structlog

from sidecar.tunnel.accepting import close
from sidecar.tunnel.answer import answer
from sidecar.tunnel.head import Head, HeadUnreadable, destination_of, for_next_proxy, read_head
from sidecar.tunnel.joining import CHUNK_BYTES, Connection, Limits, join
from sidecar.wire.claim import EgressAccess

HEAD_SECONDS: Final = 10.0
CONNECT_SECONDS: Final = 5.0
MAX_CONNECTIONS: Final = 64
LIMITS: Final = Limits(idle_seconds=600, life_seconds=7200, max_bytes=1 << 40)
"""The egress proxy's are narrower, and are the ones that count."""

log = structlog.stdlib.get_logger(__name__)


class WayOut:
    """`egress_url` is the egress proxy's; `access` what the relay said last."""

    def __init__(self, egress_url: str, access: Callable[[], EgressAccess | None]) -> None:
        parts = urlsplit(egress_url)
        self._host, self._port = parts.hostname or "", parts.port or 3128
        self._access = access

    async def serve(self, client: Connection) -> None:
        """Answers and ends; the caller closes the connection."""
        reader, writer = client
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                head = await read_head(reader)
            if head is not None:
                await self._pass_on(head, client)
        except HeadUnreadable as error:
            writer.write(answer(400, f"egress: {error}"))
        await writer.drain()

    async def _pass_on(self, head: Head, client: Connection) -> None:
        destination = destination_of(head)
        access = self._access()
        if access is None:
            client[1].write(answer(403, "egress: this session may reach nothing outside"))
            return
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                server = await asyncio.open_connection(self._host, self._port, limit=CHUNK_BYTES)
        except (OSError, TimeoutError) as error:
            log.warning("the egress proxy does not answer", reason=type(error).__name__)
            client[1].write(answer(502, "egress: the egress proxy does not answer; try again"))
            return
        shown = {"proxy-authorization": f"Bearer {access.token.get_secret_value()}"}
        try:
            server[1].write(for_next_proxy(head, destination, shown) + head.rest)
            await join(client, server, LIMITS)
        finally:
            await close(server[1])
