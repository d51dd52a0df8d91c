"""One connection of a session: its pass, the host it asks for, where that leads, then bytes and nothing else.

Each refusal is a sentence that the agent can read, and a line in the log. Deny by default: whatever is not
allowed at each step ends the connection.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from sidecar.domain import egress
from sidecar.domain.errors import Unauthenticated, Unavailable
from sidecar.egress.addresses import Outside
from sidecar.egress.passes import Pass, Passes
from sidecar.egress.resolving import Resolver
from sidecar.egress.shares import Shares, TooManyConnections
from sidecar.tunnel.accepting import close
from sidecar.tunnel.answer import answer, established
from sidecar.tunnel.head import (
    Destination,
    Head,
    HeadUnreadable,
    destination_of,
    for_origin,
    read_head,
)
from sidecar.tunnel.joining import CHUNK_BYTES, Connection, Limits, join

HEAD_SECONDS: Final = 10.0
RESOLVE_SECONDS: Final = 5.0
CONNECT_SECONDS: Final = 10.0
SHOWN_HOST: Final = 253
UNPROVEN: Final = 407

Log = structlog.stdlib.BoundLogger

log = structlog.stdlib.get_logger(__name__)


class Refusal(Exception):
    """`text` is for the agent to read; `status` for its HTTP client."""

    def __init__(self, *, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Proxy:
    def __init__(
        self,
        *,
        passes: Passes,
        resolver: Resolver,
        outside: Outside,
        shares: Shares,
        limits: Limits,
        is_ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self._passes = passes
        self._resolver = resolver
        self._outside = outside
        self._shares = shares
        self._limits = limits
        self._is_ready = is_ready

    async def serve(self, client: Connection) -> None:
        """Answers and ends; the caller closes the connection."""
        reader, writer = client
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                head = await read_head(reader)
            if head is None:
                return
            if head.method == "GET" and head.target.startswith("/"):
                writer.write(self._health(head.target))
            else:
                await self._pass_on(head, client)
        except HeadUnreadable as error:
            writer.write(answer(400, f"egress: {error}"))
        await writer.drain()

    def _health(self, path: str) -> bytes:
        if path == "/healthz":
            return answer(200, "ok")
        if path == "/readyz":
            return (
                answer(200, "ok") if self._is_ready() else answer(503, "waits for the relay's keys")
            )
        return answer(404, "egress: this is a proxy; ask it for CONNECT host:443")

    async def _pass_on(self, head: Head, client: Connection) -> None:
        destination = destination_of(head)
        said = log.bind(host=destination.host[:SHOWN_HOST], port=destination.port)
        try:
            holder = await self._holder(head)
            said = said.bind(session_id=holder.session_id)
            with self._shares.taken(holder.session_id):
                server = await self._reach(holder, destination)
                said.info("egress allowed")
                await self._carry(head, destination, client, server, said)
        except TooManyConnections as error:
            self._refuse(client, Refusal(status=429, text=str(error)), said)
        except Refusal as no:
            self._refuse(client, no, said)

    def _refuse(self, client: Connection, no: Refusal, said: Log) -> None:
        said.warning("egress denied", reason=no.text)
        headers = {"proxy_authenticate": 'Bearer realm="x1"'} if no.status == UNPROVEN else {}
        client[1].write(answer(no.status, f"egress: {no.text}", **headers))

    async def _holder(self, head: Head) -> Pass:
        scheme, _, token = head.header(b"proxy-authorization").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Refusal(
                status=UNPROVEN, text="only a session's sidecar passes: there is no pass here"
            )
        try:
            return await self._passes.check(token.strip())
        except Unauthenticated as error:
            raise Refusal(status=UNPROVEN, text=str(error)) from error
        except Unavailable as error:
            raise Refusal(status=503, text=str(error)) from error

    async def _reach(self, holder: Pass, destination: Destination) -> Connection:
        """A connection to an address that was looked at. Raises Refusal."""
        decision = egress.decide(holder.hosts, destination.host, destination.port)
        if not decision.allowed:
            raise Refusal(status=403, text=decision.reason)
        for address in await self._addresses(destination):
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await asyncio.open_connection(
                        address, destination.port, limit=CHUNK_BYTES
                    )
            except (OSError, TimeoutError):
                continue
        raise Refusal(status=502, text=f"{destination.host} does not answer")

    async def _addresses(self, destination: Destination) -> list[str]:
        """Those that are outside, at least one. Raises Refusal."""
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                found = await self._resolver.addresses(destination.host, destination.port)
        except TimeoutError:
            found = ()
        if not found:
            raise Refusal(status=502, text=f"{destination.host} is not known to DNS")
        decisions = [(each, self._outside.decide(each)) for each in found]
        allowed = [address for address, decision in decisions if decision.allowed]
        if not allowed:
            reason = decisions[0][1].reason
            raise Refusal(status=403, text=f"{destination.host} does not lead outside: {reason}")
        return allowed

    async def _carry(
        self,
        head: Head,
        destination: Destination,
        client: Connection,
        server: Connection,
        said: Log,
    ) -> None:
        began = time.monotonic()
        try:
            if destination.path is None:
                client[1].write(established())
                server[1].write(head.rest)
            else:
                server[1].write(for_origin(head, destination) + head.rest)
            outcome = await join(client, server, self._limits)
        finally:
            await close(server[1])
        said.info(
            "egress ended",
            ending=outcome.ending,
            sent_bytes=outcome.sent_bytes,
            received_bytes=outcome.received_bytes,
            seconds=round(time.monotonic() - began, 3),
        )
