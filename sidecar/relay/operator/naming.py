"""Which session is meant: a whole id, or at least four letters that begin or end just one.

Ids made within one minute begin alike, so their ends tell them apart sooner.
"""

import re
from typing import Final

from sidecar.domain.errors import InvalidArguments, SessionUnknown
from sidecar.domain.ids import SessionId
from sidecar.domain.session import Session
from sidecar.store.port import Transaction

WHOLE_ID: Final = 36
MOST_SEARCHED: Final = 1000
MOST_SHOWN: Final = 5
_ABBREVIATION: Final = re.compile(r"[0-9a-f-]{4,36}")


async def session_named(tx: Transaction, given: str) -> Session:
    """Raises SessionUnknown, and InvalidArguments when several fit or too little is said."""
    wanted = given.strip().lower()
    if not _ABBREVIATION.fullmatch(wanted):
        raise InvalidArguments(
            f"expected a session's id, or at least 4 letters of its beginning or end, "
            f"not {given[:40]!r}"
        )
    if len(wanted) == WHOLE_ID:
        return await tx.sessions.get(SessionId(wanted))
    return _the_one(await _fitting(tx, wanted), wanted)


async def _fitting(tx: Transaction, wanted: str) -> list[Session]:
    """Ends are looked for among the newest sessions only."""
    begin = await tx.sessions.find(id_prefix=wanted, limit=MOST_SHOWN + 1)
    end = [
        session
        for session in await tx.sessions.find(limit=MOST_SEARCHED)
        if session.id.endswith(wanted)
    ]
    return list({session.id: session for session in (*begin, *end)}.values())


def _the_one(found: list[Session], wanted: str) -> Session:
    if not found:
        raise SessionUnknown(f"no session's id begins or ends with {wanted!r}")
    if len(found) > 1:
        some = ", ".join(f"{session.id} ({session.agent})" for session in found[:MOST_SHOWN])
        more = " and more" if len(found) > MOST_SHOWN else ""
        raise InvalidArguments(f"{wanted!r} fits several sessions: {some}{more}; say more of it")
    return found[0]
