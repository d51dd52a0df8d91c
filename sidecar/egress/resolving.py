"""Names to addresses, asked by the proxy itself: what its client believes a name to be does not matter."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Protocol


class Resolver(Protocol):
    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """In the order to try them; empty when the name is not known. Never raises for a name."""
        ...


class SystemResolver:
    """As this container's own resolv.conf says."""

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )
        except (OSError, UnicodeError):
            return ()
        return list(dict.fromkeys(str(each[4][0]) for each in found))
