"""git's smart HTTP by way of `git http-backend`, a CGI program, streamed both ways.

The backend writes its header before it has read the request, so both directions run side by side. Whoever
ends first, the client or the backend, ends the other.
"""

import asyncio
import base64
import binascii
from contextlib import suppress

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from infra.local.forge.repositories import NotFound, Repositories, Repository, environment
from infra.local.forge.tokens import Tokens

CHUNK = 64 * 1024
HEADER_LIMIT = 16 * 1024
SERVICES = {"git-upload-pack": "read", "git-receive-pack": "write"}


class SmartHttp:
    """An ASGI app for `/{owner}/{repo}[.git]/{info/refs, git-upload-pack, git-receive-pack}`."""

    def __init__(self, repositories: Repositories, tokens: Tokens) -> None:
        self._repositories = repositories
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        _, owner, name, rest = request.url.path.split("/", 3)
        service = request.query_params.get("service") if rest == "info/refs" else rest
        if service not in SERVICES:
            return await _answer(send, 403, "only smart HTTP is served here")
        try:
            repository = self._opened(request, owner, name, SERVICES[service])
        except HTTPException as refusal:
            return await _answer(send, refusal.status_code, refusal.detail)
        return await _serve(request, repository, rest, receive, send)

    def _opened(self, request: Request, owner: str, name: str, access: str) -> Repository:
        """Who has no token is not told which repositories there are."""
        presented = _password(request.headers.get("authorization", ""))
        if presented is None:
            raise HTTPException(401, "Authentication required.")
        is_admin, token = self._tokens.is_admin(presented), self._tokens.find(presented)
        if not is_admin and token is None:
            raise HTTPException(401, "Bad credentials.")
        try:
            repository = self._repositories.get(owner, name)
        except NotFound as error:
            raise HTTPException(404, "Repository not found.") from error
        if token is not None and not token.allows(repository.full_name, access):
            raise HTTPException(403, f"The token may not {access} {repository.full_name}.")
        return repository


async def _serve(
    request: Request, repository: Repository, rest: str, receive: Receive, send: Send
) -> None:
    process = await asyncio.create_subprocess_exec(
        "git",
        "http-backend",
        env=_cgi(request, repository, rest),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.TaskGroup() as exchange:
            upload = exchange.create_task(_upload(receive, process.stdin), name="to git")
            await _download(process.stdout, send)
            upload.cancel()
    except* (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _upload(receive: Receive, stdin: asyncio.StreamWriter) -> None:
    """Raises ConnectionResetError when the client hangs up; a backend that stops reading is no error."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("the client hung up")
        if not stdin.is_closing():  # uvloop raises RuntimeError for a write to a closed pipe
            with suppress(ConnectionError):
                stdin.write(message.get("body", b""))
                await stdin.drain()
        if not message.get("more_body"):
            break
    stdin.close()


async def _download(stdout: asyncio.StreamReader, send: Send) -> None:
    status, headers = 200, list[tuple[bytes, bytes]]()
    size = 0
    while line := (await stdout.readline()).strip():
        size += len(line)
        if size > HEADER_LIMIT:
            raise ConnectionError("git http-backend wrote too long a header")
        name, _, value = line.partition(b":")
        if name.lower() == b"status":
            status = int(value.split()[0])
        else:
            headers.append((name.lower(), value.strip()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    while chunk := await stdout.read(CHUNK):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _cgi(request: Request, repository: Repository, rest: str) -> dict[str, str]:
    variables = environment() | {
        "GIT_PROJECT_ROOT": str(repository.path.parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{repository.path.name}/{rest}",
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": request.url.query,
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "REMOTE_USER": "x-access-token",
        "REMOTE_ADDR": "127.0.0.1",
    }
    passed = {
        "CONTENT_LENGTH": "content-length",
        "HTTP_CONTENT_ENCODING": "content-encoding",
        "GIT_PROTOCOL": "git-protocol",
    }
    for variable, header in passed.items():
        if header in request.headers:
            variables[variable] = request.headers[header]
    return variables


def _password(authorization: str) -> str | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return None


async def _answer(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    if status == 401:  # noqa: PLR2004
        headers.append((b"www-authenticate", b'Basic realm="x1 forge"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{text}\n".encode()})
