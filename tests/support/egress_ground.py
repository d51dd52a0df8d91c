"""A proxy on loopback, a relay's key, names that lead where a test says, and an origin that echoes."""

import asyncio
import socket
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from sidecar.egress.addresses import Outside
from sidecar.egress.passes import Passes
from sidecar.egress.proxy import Proxy
from sidecar.egress.shares import Shares
from sidecar.tunnel.accepting import Connections
from sidecar.tunnel.joining import Limits

LIMITS = Limits(idle_seconds=20, life_seconds=60, max_bytes=1 << 30)


@asynccontextmanager
async def listening(handle, *, most=100):
    """Yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(Connections(handle, most=most).run(listener))
            try:
                yield listener.getsockname()[1]
            finally:
                serving.cancel()


class Names:
    """A resolver whose answers a test gives; `asked` is what it was asked for."""

    def __init__(self):
        self.known = {}
        self.asked = []

    async def addresses(self, host, port):
        self.asked.append(host)
        found = self.known.get(host, ())
        return found.pop(0) if isinstance(found, list) else found


class Loopback(Outside):
    """As outside, and loopback counts as outside too: there is nothing else to connect to in a test."""

    def decide(self, text):
        if text == "127.0.0.1":
            return Outside(opened=(ip_network("10.0.0.0/8"),)).decide("10.0.0.1")
        return super().decide(text)


@dataclass
class Ground:
    key: Ed25519PrivateKey
    names: Names = field(default_factory=Names)
    limits: Limits = LIMITS
    per_session: int = 10
    outside: Outside = field(default_factory=Loopback)
    port: int = 0

    def token(self, hosts=(), session_id="s-1", audience="x1-egress", expires_in=60, key=None):
        claims = {"aud": audience, "sub": session_id, "hosts": list(hosts)}
        claims["exp"] = int(time.time()) + expires_in
        return jwt.encode(claims, key or self.key, "EdDSA")

    def proxy(self):
        async def keys(_):
            public = OKPAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
            return jwt.PyJWKSet([public]).keys

        return Proxy(
            passes=Passes(keys),
            resolver=self.names,
            outside=self.outside,
            shares=Shares(self.per_session),
            limits=self.limits,
        )

    def dialled(self, monkeypatch, port):
        """The proxy's 443 and 80 are `port`, as privileged ones cannot be had. Returns the addresses it dials."""
        opened, addresses = asyncio.open_connection, []

        async def dial(host=None, number=None, **more):
            if number not in (443, 80):
                return await opened(host, number, **more)
            addresses.append(host)
            return await opened(host, port, **more)

        monkeypatch.setattr("sidecar.egress.proxy.asyncio.open_connection", dial)
        return addresses

    @asynccontextmanager
    async def running(self):
        async with listening(self.proxy().serve) as self.port:
            yield self.port


async def talk(port, text, *, end=True):
    """Sends, and reads until the other side ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text if isinstance(text, bytes) else text.encode())
    if end:
        writer.write_eof()
    try:
        async with asyncio.timeout(10):
            return (await reader.read()).decode()
    finally:
        writer.close()
