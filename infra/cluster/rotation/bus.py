"""The bus's operator, signing key and the relay's user, all new; the accounts stay, and the streams with them.

The servers come back first, one by one, with users of the new key alone; then the relays, who sign with it.
Session pods are let in again with the users that their next renewal brings, seconds later; their events wait in
their journals. An interruption is gone on with: the new set is kept in the whole until everybody has it.
"""

import json
from collections.abc import Mapping
from typing import Final

from infra.cluster import secrets
from infra.cluster.rotation.ground import Ground

NEXT: Final = "bus-next.json"


def rotate(ground: Ground) -> None:
    whole = ground.whole
    new: dict[str, str] = json.loads(whole[NEXT]) if NEXT in whole else _made(whole)
    ground.put({**new, NEXT: json.dumps(new)})
    ground.restart("nats", "relay")
    ground.put({NEXT: None})


def _made(whole: Mapping[str, str]) -> dict[str, str]:
    server = json.loads(whole["bus-server.json"])
    return secrets.bus_keys(server["account_id"], server["system_id"])
