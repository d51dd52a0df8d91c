"""The bus's operator, account and the relay's own user, made once per state directory.

The operator signs the accounts; a signing key of the account signs users. The other seeds are not kept: a new
operator and a new signing key for the same accounts, whose streams stay, are made without them.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nkeys

from infra.local.files import write_whole
from sidecar.bus.credentials import UNLIMITED, new_pair, of_account, public, seed, sign

ACCOUNT_SEED = "account.seed"
RELAY_CREDS = "relay.creds"
SERVER = "server.json"
CREDS = """-----BEGIN NATS USER JWT-----
{jwt}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
{seed}
------END USER NKEY SEED------
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerKeys:
    """What nats-server is configured with; none of it is secret."""

    operator_jwt: str
    account_id: str
    account_jwt: str
    system_id: str
    system_jwt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BusKeys:
    """`account_signer` and `relay_creds` are secrets, as the relay's files hold them."""

    server: ServerKeys
    account_signer: str
    relay_creds: str


def generate(directory: Path) -> None:
    """Does nothing when the directory holds a whole set: the server's half is written last."""
    if (directory / SERVER).exists():
        return
    directory.mkdir(mode=0o700, exist_ok=True)
    keys = make()
    write_whole(directory / ACCOUNT_SEED, keys.account_signer)
    write_whole(directory / RELAY_CREDS, keys.relay_creds)
    write_whole(directory / SERVER, json.dumps(asdict(keys.server)))


def make(account_id: str | None = None, system_id: str | None = None) -> BusKeys:
    """A whole set, all of it new but the accounts that are named.

    The account's streams are to stay. In the system account servers of a cluster speak with one another of them:
    while some have an old and some a new one, none of them finds a stream's leader.
    """
    operator, signer = new_pair(nkeys.PREFIX_BYTE_OPERATOR), new_pair(nkeys.PREFIX_BYTE_ACCOUNT)
    user = new_pair(nkeys.PREFIX_BYTE_USER)
    account = account_id or public(new_pair(nkeys.PREFIX_BYTE_ACCOUNT))
    system = system_id or public(new_pair(nkeys.PREFIX_BYTE_ACCOUNT))
    server = ServerKeys(
        operator_jwt=sign(
            operator,
            subject=public(operator),
            name="x1",
            claims={"type": "operator", "system_account": system},
        ),
        account_id=account,
        account_jwt=sign(
            operator, subject=account, name="x1", claims=_account_claims(signer=public(signer))
        ),
        system_id=system,
        system_jwt=sign(operator, subject=system, name="SYS", claims=_account_claims()),
    )
    claims = of_account(account, _user_claims())
    user_jwt = sign(signer, subject=public(user), name="relay", claims=claims)
    return BusKeys(
        server=server,
        account_signer=f"{seed(signer)}\n{account}\n",
        relay_creds=CREDS.format(jwt=user_jwt, seed=seed(user)),
    )


def read(directory: Path) -> ServerKeys:
    return ServerKeys(**json.loads((directory / SERVER).read_text()))


def _account_claims(*, signer: str | None = None) -> dict[str, Any]:
    """Without a signer the system account, which must not hold streams: JetStream's own traffic runs in it."""
    names = ("subs", "data", "payload", "imports", "exports", "conn", "leaf")
    storage = ("mem_storage", "disk_storage", "streams", "consumer") if signer else ()
    limits = dict.fromkeys((*names, *storage), UNLIMITED) | {"wildcards": True}
    keys = {"signing_keys": [signer]} if signer else {}
    return {"type": "account", "limits": limits, **keys}


def _user_claims() -> dict[str, Any]:
    limits = dict.fromkeys(("subs", "data", "payload"), UNLIMITED)
    return {"type": "user", "pub": {}, "sub": {}, **limits}
