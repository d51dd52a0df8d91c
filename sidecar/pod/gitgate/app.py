"""The gateway's ASGI app: `/<owner>/<repo>` at the host `github.localhost`, or `/git/<host>/<owner>/<repo>`.

Only smart HTTP's three requests are served. The order of questions is fixed: capability, repository,
service, head, refs, then bytes.
"""

import asyncio
import base64
import binascii
import hmac
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, Literal, Protocol

import aiohttp
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from sidecar.domain.attachment import Attachment
from sidecar.domain.errors import ForgeUnavailable, Unavailable, X1Error
from sidecar.domain.event import EventType
from sidecar.pod.gitgate import policy, refusal
from sidecar.pod.gitgate.fetching import FetchReader
from sidecar.pod.gitgate.head import Head, HeadReader, Malformed
from sidecar.pod.gitgate.packscan import PackScanner
from sidecar.pod.gitgate.push import Denied, Push
from sidecar.pod.gitgate.scanning import MakeScanner, Scanner
from sidecar.pod.gitgate.upstream import RESPONSE_HEADERS, Upstream, Way
from sidecar.wire.git import (
    CompareAnswer,
    CompareRequest,
    PushAnswer,
    PushRequest,
    TokenAnswer,
    TokenRequest,
)

ADDRESS: Final = re.compile(
    r"(?:/git/[a-z0-9.-]+)?/([A-Za-z0-9_.-]+)/([A-Za-z0-9_.-]+?)(?:\.git)?"
    r"/(info/refs|git-upload-pack|git-receive-pack)"
)
SERVICES: Final = {b"service=git-upload-pack": "read", b"service=git-receive-pack": "write"}
MAX_ANSWER: Final = 4 << 20
MAX_PUSHES: Final = 4
"""At once; a fifth waits. Each may keep commits in memory until its verdict."""
Access = Literal["read", "write"]
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, headers and whole body."""
Report = Callable[[EventType, dict[str, Any]], Awaitable[None]]

log = structlog.stdlib.get_logger(__name__)


class GitAuthority(Protocol):
    """The relay, as the gateway asks it. Every verb raises X1Error; Unavailable when it is away for long."""

    async def token(self, request: TokenRequest) -> TokenAnswer: ...

    async def compare(self, request: CompareRequest) -> CompareAnswer: ...

    async def fence(self, request: PushRequest) -> PushAnswer: ...


class Refusal(Exception):
    """Answered before anything is passed on. git shows the text of a 403."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text
        super().__init__(text)


class GitGate:
    """`capability` is the password that this pod's credential helper gives; constant-time compared."""

    def __init__(
        self,
        *,
        authority: GitAuthority,
        attachments: Callable[[], Sequence[Attachment]],
        capability: str,
        report: Report,
        scanner: MakeScanner | None = None,
        upstream: Upstream | None = None,
    ) -> None:
        self._authority = authority
        self._attachments = attachments
        self._capability = capability
        self._report = report
        self._scanner = scanner or self._pack_scanner
        self._pushing = asyncio.Semaphore(MAX_PUSHES)
        self._upstream = upstream or Upstream()

    async def aclose(self) -> None:
        await self._upstream.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            self._require_capability(request)
            attachment, rest = self._address(scope)
            if rest == "info/refs":
                await self._advertise(request, attachment, send)
            elif rest == "git-upload-pack":
                await self._fetch(request, attachment, send)
            else:
                await self._push(request, attachment, send)
        except Refusal as no:
            await _text(send, no.status, no.text)
        except Unavailable as error:
            await _text(send, 503, f"{error}; try again")
        except X1Error as error:
            await _text(send, 403, str(error))
        except ClientDisconnect:
            log.info("git hung up", path=scope["path"])

    def _require_capability(self, request: Request) -> None:
        presented = _password(request.headers.get("authorization", ""))
        if not hmac.compare_digest(presented, self._capability.encode()):
            raise Refusal(401, "this gateway serves its own session only")

    def _address(self, scope: Scope) -> tuple[Attachment, str]:
        """Read from the raw path: an escaped slash or dot is no address of ours."""
        raw = scope.get("raw_path") or scope["path"].encode()
        found = ADDRESS.fullmatch(raw.split(b"?")[0].decode("ascii", "replace"))
        if found is None or ".." in found.group(0):
            raise Refusal(403, "only clone, fetch and push over smart HTTP are served here")
        owner, name, rest = found.groups()
        attachment = policy.find(self._attachments(), f"{owner}/{name}")
        if attachment is None:
            raise Refusal(403, f"x1: {owner}/{name} is not attached to this session")
        wanted = {"info/refs": "GET"}.get(rest, "POST")
        if scope["method"] != wanted:
            raise Refusal(405, f"expected {wanted}")
        return attachment, rest

    async def _advertise(self, request: Request, attachment: Attachment, send: Send) -> None:
        access = SERVICES.get(request.scope["query_string"])
        if access is None:
            raise Refusal(403, "only clone, fetch and push over smart HTTP are served here")
        if access == "write":
            decision = policy.may_push_at_all(attachment)
            if not decision.allowed:
                await self._refused(attachment, [], decision.reason)
                raise Refusal(403, f"x1: {decision.reason}")
        query = request.scope["query_string"].decode()
        await self._relay(request, send, attachment, _access(access), f"info/refs?{query}")

    async def _fetch(self, request: Request, attachment: Attachment, send: Send) -> None:
        reader = FetchReader(content_encoding=request.headers.get("content-encoding"))
        body = reader.watch(request.stream())
        await self._relay(request, send, attachment, "read", "git-upload-pack", body=body)
        if reader.kind is not None:
            await self._report(reader.kind, {"repo": attachment.repo})

    async def _push(self, request: Request, attachment: Attachment, send: Send) -> None:
        if "content-encoding" in request.headers:
            raise Refusal(415, "a compressed push is not read here")
        chunks, reader = request.stream(), HeadReader()
        try:
            head, first = await _read_head(reader, chunks)
        except Malformed as error:
            reason = f"not a push that is understood here: {error}"
            await self._refuse_whole(attachment, reader.capabilities, reason, chunks, send)
            return
        if not head.updates:
            await self._probe(request, attachment, send)
            return
        reasons = self._judge(attachment, head)
        if any(reasons):
            await self._refuse(attachment, head, reasons, chunks, send)
            return
        async with self._pushing:
            await self._pass_on(
                request, send, attachment=attachment, head=head, first=first, chunks=chunks
            )

    def _pack_scanner(self, attachment: Attachment, head: Head) -> Scanner:
        async def is_ancestor(old: str, new: str) -> bool:
            asked = CompareRequest(repo=attachment.repo, old=old, new=new)
            return (await self._authority.compare(asked)).is_ancestor

        return PackScanner(attachment, head, is_ancestor=is_ancestor)

    async def _probe(self, request: Request, attachment: Attachment, send: Send) -> None:
        """Git's four bytes before a long push: the forge must say that the token is good."""
        await self._relay(request, send, attachment, "write", "git-receive-pack", body=b"0000")

    def _judge(self, attachment: Attachment, head: Head) -> list[str]:
        """A reason to refuse for each ref, empty where it is allowed."""
        general = policy.may_push_at_all(attachment)
        if not general.allowed:
            return [general.reason for _ in head.updates]
        decided = policy.decide(attachment, head)
        return ["" if decision.allowed else decision.reason for _, decision in decided]

    async def _pass_on(
        self,
        request: Request,
        send: Send,
        *,
        attachment: Attachment,
        head: Head,
        first: bytes,
        chunks: AsyncIterator[bytes],
    ) -> None:
        updates = [update.as_json() for update in head.updates]

        async def fence(phase: Literal["begin", "commit"]) -> None:
            await self._authority.fence(
                PushRequest(repo=attachment.repo, updates=updates, phase=phase)
            )

        push = Push(
            attachment=attachment,
            head=head,
            scanner=self._scanner(attachment, head),
            fence=lambda: fence("commit"),
        )
        try:
            await fence("begin")
            answer = await self._exchange(request, attachment, push.body(first, chunks))
        except (Denied, X1Error) as no:
            reason = no.reason if isinstance(no, Denied) else str(no)
            await self._refuse(attachment, head, [reason] * len(head.updates), chunks, send)
            return
        status, headers, body = answer
        rejected = set(refusal.refused_refs(body))
        for update in head.updates:
            kind = EventType.GIT_PUSH_REFUSED if update.ref in rejected else EventType.GIT_PUSH
            await self._report(kind, {"repo": attachment.repo, **update.as_json()})
        await _whole(send, status, headers, body)

    async def _exchange(
        self, request: Request, attachment: Attachment, body: AsyncGenerator[bytes]
    ) -> Answer:
        """Sends the push and reads its answer, beside the verdict: a forge answers before it has everything,
        so a denial must not wait for it. Raises Denied, ForgeUnavailable.
        """
        way = await self._way(attachment, "write", "git-receive-pack")
        denied: asyncio.Future[Denied] = asyncio.get_running_loop().create_future()

        async def watched() -> AsyncGenerator[bytes]:
            try:
                async for chunk in body:
                    yield chunk
            except Denied as no:
                denied.set_result(no)
                await asyncio.Event().wait()  # the exchange is cancelled while it waits here

        async def exchange() -> Answer | X1Error:
            try:
                async with self._upstream.request(
                    "POST", way, headers=request.headers, body=watched()
                ) as answer:
                    return _status(answer), _headers(answer), await _bounded(answer)
            except X1Error as error:
                return error

        async with asyncio.TaskGroup() as tasks:
            answering = tasks.create_task(exchange(), name="push")
            await asyncio.wait({answering, denied}, return_when=asyncio.FIRST_COMPLETED)
            answering.cancel()
        if denied.done():
            raise denied.result()
        result = answering.result()
        if isinstance(result, X1Error):
            raise result
        return result

    async def _relay(
        self,
        request: Request,
        send: Send,
        attachment: Attachment,
        access: Access,
        rest: str,
        *,
        body: AsyncIterator[bytes] | bytes | None = None,
    ) -> None:
        """Streams the forge's answer as it comes."""
        way = await self._way(attachment, access, rest)
        async with self._upstream.request(
            request.method, way, headers=request.headers, body=body
        ) as answer:
            status = _status(answer)
            start = {"type": "http.response.start", "status": status, "headers": _headers(answer)}
            await send(start)
            async for chunk in answer.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _way(self, attachment: Attachment, access: Access, rest: str) -> Way:
        minted = await self._authority.token(TokenRequest(repo=attachment.repo, access=access))
        url = f"{minted.git_url.rstrip('/')}/{attachment.repo}.git/{rest}"
        return Way(url=url, token=minted.token, egress=minted.egress)

    async def _refuse(
        self,
        attachment: Attachment,
        head: Head,
        reasons: Sequence[str],
        chunks: AsyncIterator[bytes],
        send: Send,
    ) -> None:
        """Git reads an answer only after it has sent everything, so the rest is drained first."""
        async for _ in chunks:
            pass
        told = [reason or "refused with the others of this push" for reason in reasons]
        await self._refused(attachment, [each.as_json() for each in head.updates], told[0])
        text = "\n".join(dict.fromkeys(f"{attachment.repo}: {reason}" for reason in told))
        kind = (b"content-type", b"application/x-git-receive-pack-result")
        await _whole(send, 200, [kind], refusal.report(head, told, text))

    async def _refuse_whole(
        self,
        attachment: Attachment,
        capabilities: tuple[str, ...],
        reason: str,
        chunks: AsyncIterator[bytes],
        send: Send,
    ) -> None:
        """Of which not even the refs are known. Git shows no text of an HTTP error, so this is its own answer."""
        if "report-status" not in capabilities and "report-status-v2" not in capabilities:
            raise Refusal(400, f"x1: {reason}")
        async for _ in chunks:
            pass
        await self._refused(attachment, [], reason)
        answer = refusal.report(Head(updates=(), capabilities=capabilities), [], reason, reason)
        kind = (b"content-type", b"application/x-git-receive-pack-result")
        await _whole(send, 200, [kind], answer)

    async def _refused(
        self, attachment: Attachment, updates: list[dict[str, str]], reason: str
    ) -> None:
        told = {"repo": attachment.repo, "updates": updates, "reason": reason}
        await self._report(EventType.GIT_PUSH_REFUSED, told)


async def _read_head(reader: HeadReader, chunks: AsyncIterator[bytes]) -> tuple[Head, bytes]:
    async for chunk in chunks:
        head = reader.feed(chunk)
        if head is not None:
            return head, reader.rest
    raise Malformed("it ends before its list of refs does")


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    """A report names at most as many refs as the head did: what is longer is not one."""
    content = bytearray()
    async for chunk in answer.content.iter_any():
        content += chunk
        if len(content) > MAX_ANSWER:
            raise ForgeUnavailable("the forge's answer to a push does not end")
    return bytes(content)


def _access(text: str) -> Access:
    return "write" if text == "write" else "read"


def _status(answer: aiohttp.ClientResponse) -> int:
    """A moved repository is not followed, and the forge's 401 is not the client's to answer."""
    if answer.status in {401, 407} or 300 <= answer.status < 400:  # noqa: PLR2004
        raise ForgeUnavailable(f"the forge answers {answer.status} to its own token")
    if answer.status >= 500:  # noqa: PLR2004
        raise ForgeUnavailable(f"the forge answers {answer.status}")
    return answer.status


def _headers(answer: aiohttp.ClientResponse) -> list[tuple[bytes, bytes]]:
    kept = [(name, answer.headers[name]) for name in RESPONSE_HEADERS if name in answer.headers]
    return [(name.encode(), value.encode("latin-1")) for name, value in kept]


def _password(authorization: str) -> bytes:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(encoded, validate=True).partition(b":")[2]
    except binascii.Error:
        return b""


async def _text(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    if status == 401:  # noqa: PLR2004
        headers.append((b"www-authenticate", b'Basic realm="x1"'))
    await _whole(send, status, headers, f"{text}\n".encode())


async def _whole(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
