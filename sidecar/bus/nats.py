"""The bus on NATS: JetStream keeps events until they are stored, core NATS rings doorbells.

A connection that was lost for good (its credentials ran out, the server was away for long) is replaced at the
next call, with the newest credentials. Callers see BusUnavailable meanwhile and repeat.
"""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import nkeys
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import ConsumerConfig, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.client import JetStreamContext

from sidecar.bus.port import Bus, Delivery
from sidecar.domain.errors import BusUnavailable
from sidecar.domain.ids import SessionId
from sidecar.jetstream import ensure
from sidecar.wire import subjects
from sidecar.wire.claim import BusAccess

CONNECT_TIMEOUT_SECONDS = 3
FIRST_CONNECTION_SECONDS = 8.0
REQUEST_TIMEOUT_SECONDS = 5.0
ACK_WAIT_SECONDS = 30.0
"""How long the persister may take over a batch before it comes again."""
MAX_STREAM_BYTES = 2 << 30
"""What waits for a persister that is away. Beyond it new events are refused: back-pressure, never loss."""
DUPLICATE_WINDOW_SECONDS = 600.0
MAX_ACK_PENDING = 20_000

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    url: str
    jwt: str
    seed: str
    inbox_prefix: str = "_INBOX"


def login_of_file(url: str, creds: Path) -> Login:
    """From a .creds file. Raises ValueError when it holds no JWT or no seed."""
    lines = [line.strip() for line in creds.read_text().splitlines()]
    kept = [line for line in lines if line and not line.startswith("-")]
    if len(kept) != 2:  # noqa: PLR2004 - a JWT and a seed
        raise ValueError(f"{creds}: expected one JWT and one seed, found {len(kept)} lines")
    return Login(url=url, jwt=kept[0], seed=kept[1])


async def connect_session(access: Callable[[], BusAccess]) -> Bus:
    """One session's bus; `access` is asked at each connection. Raises BusUnavailable."""

    def login() -> Login:
        now = access()
        return Login(
            url=now.url,
            jwt=now.user_jwt.get_secret_value(),
            seed=now.user_seed.get_secret_value(),
            inbox_prefix=now.inbox_prefix,
        )

    bus = NatsBus(login)
    await bus.ping()
    return bus


class NatsBus:
    """Connects when first used. `login` is asked at each connection for what is valid then.

    `replicas` is on how many servers the event stream lives; only who reads `deliveries` makes it.
    """

    def __init__(self, login: Callable[[], Login], *, replicas: int = 1) -> None:
        self._login = login
        self._replicas = replicas
        self._client: Client | None = None
        self._connecting = asyncio.Lock()

    async def publish_events(self, session_id: SessionId, body: bytes, message_id: str) -> None:
        with _translated():
            stream = (await self._connected()).jetstream(timeout=REQUEST_TIMEOUT_SECONDS)
            await stream.publish(
                subjects.events(session_id), body, headers={"Nats-Msg-Id": message_id}
            )

    async def ring(self, session_id: SessionId, wake_id: str) -> None:
        with _translated():
            client = await self._connected()
            await client.publish(subjects.doorbell(session_id), wake_id.encode())

    @asynccontextmanager
    async def doorbell(self, session_id: SessionId) -> AsyncGenerator[AsyncIterator[str]]:
        """The iterator ends when the connection is lost for good: open another."""
        with _translated():
            client = await self._connected()
            subscription = await client.subscribe(subjects.doorbell(session_id))
            await client.flush(CONNECT_TIMEOUT_SECONDS)
        try:
            yield _rings(subscription.messages)
        finally:
            if not client.is_closed:
                with _ignored():
                    await subscription.unsubscribe()

    @asynccontextmanager
    async def deliveries(self) -> AsyncGenerator["NatsDeliveries"]:
        with _translated():
            client = await self._connected()
            stream = client.jetstream(timeout=REQUEST_TIMEOUT_SECONDS)
            await _ensure_stream(stream, self._replicas)
            pull = await stream.pull_subscribe(
                subjects.EVENTS_WILDCARD,
                durable=subjects.PERSISTER,
                stream=subjects.EVENTS_STREAM,
                config=ConsumerConfig(ack_wait=ACK_WAIT_SECONDS, max_ack_pending=MAX_ACK_PENDING),
            )
        try:
            yield NatsDeliveries(client, pull)
        finally:
            if not client.is_closed:
                with _ignored():
                    await pull.unsubscribe()

    async def jetstream(self) -> JetStreamContext:
        """For what else lives on this server: artifacts. Raises BusUnavailable."""
        with _translated():
            return (await self._connected()).jetstream(timeout=REQUEST_TIMEOUT_SECONDS)

    async def ping(self) -> None:
        with _translated():
            await (await self._connected()).flush(CONNECT_TIMEOUT_SECONDS)

    async def aclose(self) -> None:
        if self._client is not None:
            with _ignored():
                await self._client.close()

    async def _connected(self) -> Client:
        async with self._connecting:
            if self._client is None or self._client.is_closed:
                self._client = await self._connect()
            return self._client

    async def _connect(self) -> Client:
        """Asks for the login at each (re)connection, so that a renewed user is used as soon as it can be."""
        current = self._login()

        def jwt() -> bytes:
            nonlocal current
            current = self._login()
            return current.jwt.encode()

        client = Client()
        try:
            async with asyncio.timeout(FIRST_CONNECTION_SECONDS):
                await client.connect(
                    current.url,
                    user_jwt_cb=jwt,
                    signature_cb=lambda nonce: _signature(current.seed, nonce),
                    inbox_prefix=current.inbox_prefix,
                    connect_timeout=CONNECT_TIMEOUT_SECONDS,
                    allow_reconnect=True,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=1,
                    error_cb=_note,
                    name="x1",
                )
        except BaseException:  # whoever gives up leaves no half-open connection behind
            with _ignored():
                await client.close()
            raise
        return client


class NatsDeliveries:
    def __init__(self, client: Client, pull: JetStreamContext.PullSubscription) -> None:
        self._client = client
        self._pull = pull
        self._held: dict[int, Msg] = {}

    async def fetch(self, limit: int, timeout_seconds: float) -> Sequence[Delivery]:
        with _translated():
            try:
                messages = await self._pull.fetch(limit, timeout=timeout_seconds)
            except TimeoutError:  # also a plain one, when the client's own time is over first
                if not self._client.is_connected:
                    raise
                return []
        deliveries = [_delivery(message) for message in messages]
        self._held.update(
            (delivery.sequence, message)
            for delivery, message in zip(deliveries, messages, strict=True)
        )
        return deliveries

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        with _translated():
            for delivery in deliveries:
                message = self._held.pop(delivery.sequence, None)
                if message is not None:
                    await message.ack()
            await self._client.flush(CONNECT_TIMEOUT_SECONDS)


async def _ensure_stream(stream: JetStreamContext, replicas: int) -> None:
    """A work queue: what the persister has acknowledged is stored in the ledger and leaves the stream."""
    config = StreamConfig(
        name=subjects.EVENTS_STREAM,
        subjects=[subjects.EVENTS_WILDCARD],
        storage=StorageType.FILE,
        retention=RetentionPolicy.WORK_QUEUE,
        discard=DiscardPolicy.NEW,
        max_bytes=MAX_STREAM_BYTES,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
        num_replicas=replicas,
    )
    await ensure(stream, config)


def _delivery(message: Msg) -> Delivery:
    return Delivery(
        subject=message.subject, body=message.data, sequence=message.metadata.sequence.stream
    )


async def _rings(messages: AsyncIterator[Msg]) -> AsyncIterator[str]:
    async for message in messages:
        yield message.data.decode(errors="replace")


def _signature(seed: str, nonce: str) -> bytes:
    return base64.b64encode(nkeys.from_seed(seed.encode()).sign(nonce.encode()))


async def _note(error: Exception) -> None:
    log.info("bus connection", error=str(error) or type(error).__name__)


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except (NatsError, OSError, TimeoutError) as error:
        reason = str(error) or type(error).__name__
        raise BusUnavailable(f"the bus does not answer: {reason}") from error


@contextmanager
def _ignored() -> Generator[None]:
    """For farewells: a connection that is gone already needs none."""
    try:
        yield
    except (NatsError, OSError, TimeoutError):
        return
