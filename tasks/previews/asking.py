"""One request to a preview, and which revision answered it.

The connection goes where the way leads, with the URL's own Host and name. Redirects are not followed: where an app
sends its visitors is part of what a check may ask.

Behind a Gateway, and on one machine, the proxy names the revision in each answer, and overwrites what the app says
of itself. An Ingress has no portable word for that: where the way has stamps, an answer is the revision's when it
stands between two of them. All three go over one connection, and so to one replica of the controller, unless
somebody ends it.
"""

import time
from typing import Final
from urllib.parse import urlsplit

import httpx

from sidecar.domain.check import MAX_TIMEOUT_SECONDS, Check, Response
from tasks.previews.way import Way

REVISION_HEADER: Final = "x-x1-revision"
MAX_BODY: Final = 4 << 20
OURS: Final = ("host", "content-length", "connection", "transfer-encoding")


def client(way: Way, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=transport,
        trust_env=False,
        timeout=MAX_TIMEOUT_SECONDS,
        verify=way.tls(),
        limits=httpx.Limits(max_connections=1),
    )


async def ask(http: httpx.AsyncClient, way: Way, url: str, check: Check, revision: str) -> Response:
    """The answer, with the revision that gave it: `revision` or None where the way has stamps.

    Raises httpx.HTTPError, httpx.InvalidURL, and ValueError for an answer that is too long.
    """
    if way.stamps is None:
        return await _asked(http, way, url, check)
    before = await _is_stamped(http, way, url, revision)
    answer = await _asked(http, way, url, check)
    after = before and await _is_stamped(http, way, url, revision)
    return Response(
        status=answer.status,
        headers=answer.headers,
        body=answer.body,
        elapsed_ms=answer.elapsed_ms,
        revision=revision if after else None,
    )


async def _is_stamped(http: httpx.AsyncClient, way: Way, url: str, revision: str) -> bool:
    assert way.stamps is not None
    wanted = way.stamps.wanted(url, revision)
    answer = await _asked(http, way, url, Check(path=wanted.path))
    return wanted.is_in(answer.body)


async def _asked(http: httpx.AsyncClient, way: Way, url: str, check: Check) -> Response:
    parts = urlsplit(url)
    target, extensions = way.place(parts)
    headers = {name: text for name, text in check.headers.items() if name.lower() not in OURS}
    headers["host"] = parts.netloc
    body = check.body.encode() if check.body is not None else None
    began = time.monotonic()
    async with http.stream(
        check.method,
        f"{parts.scheme}://{target}{check.path}",
        headers=headers,
        content=body,
        extensions=extensions,
    ) as answer:
        content = await _bounded(answer)
    return Response(
        status=answer.status_code,
        headers=dict(answer.headers),
        body=content,
        elapsed_ms=(time.monotonic() - began) * 1000,
        revision=answer.headers.get(REVISION_HEADER),
    )


async def _bounded(answer: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in answer.aiter_bytes():
        content += chunk
        if len(content) > MAX_BODY:
            raise ValueError(f"the answer is longer than {MAX_BODY} bytes")
    return bytes(content)
