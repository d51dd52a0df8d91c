"""The head of a proxied request: read strictly, kept small, and written anew rather than passed on as it came.

A client of a proxy names the whole destination (RFC 9112, 3.2): `CONNECT host:port`, or `METHOD http://host/path`.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import h11

MAX_HEAD_BYTES: Final = 16 * 1024
READ_BYTES: Final = 8 * 1024
HTTP_PORT: Final = 80
CONNECT: Final = "CONNECT"
BETWEEN_NEIGHBOURS: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-authorization", b"proxy-connection", b"upgrade", b"te")
)
"""Headers that are for the next hop alone. The pass is one of them: no destination ever sees it."""


class HeadUnreadable(Exception):
    """That is no request which a proxy takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """`rest` is what the client sent after it already. Header names are in lower case."""

    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    rest: bytes

    def header(self, name: bytes) -> str:
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """`path` is what the origin is asked for; None in a tunnel, where nobody looks."""

    host: str
    port: int
    path: str | None = None

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == HTTP_PORT and self.path is not None else f"{host}:{self.port}"


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """None when the client leaves without a word. Raises HeadUnreadable."""
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    try:
        while (event := parser.next_event()) is h11.NEED_DATA:
            parser.receive_data(await reader.read(READ_BYTES))
    except h11.RemoteProtocolError as error:
        raise HeadUnreadable(str(error)) from error
    if not isinstance(event, h11.Request):
        return None
    return Head(
        method=event.method.decode("ascii"),
        target=event.target.decode("ascii"),
        headers=tuple(event.headers),
        rest=parser.trailing_data[0],
    )


def destination_of(head: Head) -> Destination:
    """Raises HeadUnreadable for a target that names none: this is no origin."""
    try:
        if head.method == CONNECT:
            parts = urlsplit(f"//{head.target}")
            if parts.path or parts.query or parts.username is not None or parts.port is None:
                raise HeadUnreadable("expected CONNECT host:port")
            return Destination(host=_host(parts.hostname), port=parts.port)
        parts = urlsplit(head.target)
        if parts.scheme != "http" or parts.username is not None:
            raise HeadUnreadable("expected CONNECT host:port, or a whole http:// URL")
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        return Destination(host=_host(parts.hostname), port=parts.port or HTTP_PORT, path=path)
    except ValueError as error:
        raise HeadUnreadable("that names no host and port") from error


def for_next_proxy(head: Head, destination: Destination, extra: Mapping[str, str]) -> bytes:
    """The same request for the proxy behind this one, with `extra` headers."""
    return _written(head.method, head.target, destination, _end_to_end(head), extra)


def for_origin(head: Head, destination: Destination) -> bytes:
    """The request as its origin expects it. It is asked to close: the next one has to pass the proxy again."""
    assert destination.path is not None
    extra = {"connection": "close"}
    return _written(head.method, destination.path, destination, _end_to_end(head), extra)


def _written(
    method: str,
    target: str,
    destination: Destination,
    headers: Iterable[tuple[bytes, bytes]],
    extra: Mapping[str, str],
) -> bytes:
    """`Host` is what the target says, whatever the client wrote (RFC 9112, 3.2.2)."""
    written = [
        (b"host", destination.authority.encode()),
        *headers,
        *((name.encode(), value.encode()) for name, value in extra.items()),
    ]
    request = h11.Request(method=method, target=target, headers=written)
    return h11.Connection(h11.CLIENT).send(request) or b""


def _end_to_end(head: Head) -> list[tuple[bytes, bytes]]:
    """Without `Host`, and without what is for a neighbour or is named so by `Connection` (RFC 9110, 7.6.1)."""
    named = {
        option.strip().lower()
        for name, value in head.headers
        if name == b"connection"
        for option in value.split(b",")
    }
    dropped = BETWEEN_NEIGHBOURS | {b"host"} | named
    return [(name, value) for name, value in head.headers if name not in dropped]


def _host(found: str | None) -> str:
    if not found:
        raise HeadUnreadable("that names no host")
    return found
