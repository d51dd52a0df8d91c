"""The bus's keys are replaced under a running fleet: the account's streams stay, old users are let in no more."""

import asyncio
import json
from dataclasses import asdict
from datetime import timedelta

import pytest

from infra.local.components import natskeys
from sidecar.bus.credentials import BusUsers
from sidecar.bus.nats import Login, NatsBus, login_of_file
from sidecar.domain.errors import BusUnavailable
from sidecar.domain.ids import SessionId
from sidecar.wire.subjects import inbox_prefix

SESSION = SessionId("0190-one")

pytestmark = [
    pytest.mark.real,
    # nats-py does not await the end of a connection that the server refused; it is closing by itself.
    pytest.mark.filterwarnings("ignore:.*StreamWriter:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.*StreamWriter:ResourceWarning"),
]


class SessionUser:
    """A session's login, which is replaced when its lease is renewed."""

    def __init__(self, nats):
        self.nats = nats
        self.renew()

    def renew(self):
        users = BusUsers((self.nats.keys / natskeys.ACCOUNT_SEED).read_text())
        self.user = users.mint(SESSION, timedelta(minutes=15))

    def login(self):
        return Login(
            url=self.nats.url,
            jwt=self.user.jwt.get_secret_value(),
            seed=self.user.seed.get_secret_value(),
            inbox_prefix=inbox_prefix(SESSION),
        )


def replace_keys(nats):
    made = natskeys.make(natskeys.read(nats.keys).account_id)
    (nats.keys / natskeys.ACCOUNT_SEED).write_text(made.account_signer)
    (nats.keys / natskeys.RELAY_CREDS).write_text(made.relay_creds)
    (nats.keys / natskeys.SERVER).write_text(json.dumps(asdict(made.server)))
    nats.configure()


async def published(bus, name):
    async with asyncio.timeout(90):
        while True:
            try:
                return await bus.publish_events(SESSION, name.encode(), name)
            except BusUnavailable:
                await asyncio.sleep(0.1)


async def test_new_keys_keep_the_events_and_a_renewed_session_goes_on(nats_server):
    relay = NatsBus(lambda: login_of_file(nats_server.url, nats_server.keys / natskeys.RELAY_CREDS))
    user = SessionUser(nats_server)
    session = NatsBus(user.login)
    async with relay.deliveries():
        await session.publish_events(SESSION, b"before", "before")
    nats_server.server.stop()
    replace_keys(nats_server)
    nats_server.server.start()

    latecomer = NatsBus(user.login)
    with pytest.raises(BusUnavailable):
        await latecomer.publish_events(SESSION, b"old", "old")
    user.renew()
    await published(session, "after")

    seen: set[bytes] = set()
    async with asyncio.timeout(90):
        while not seen >= {b"before", b"after"}:
            try:
                async with relay.deliveries() as deliveries:
                    seen |= {each.body for each in await deliveries.fetch(10, 1)}
            except BusUnavailable:
                await asyncio.sleep(0.1)
    assert b"old" not in seen
    for each in (latecomer, session, relay):
        await each.aclose()
