"""Sessions as the tree of who hired whom: newest trees first, children in the order they were hired."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sidecar.domain.preview import Preview, PreviewStatus
from sidecar.domain.session import Session
from sidecar.relay.usage import dollars, tokens

STANDING = (PreviewStatus.READY, PreviewStatus.BUILDING, PreviewStatus.DEPLOYING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    session: Session
    level: int
    seconds: float
    """From its creation to its end, or until now."""
    previews: tuple[Preview, ...]
    usd: float
    tokens: int


def rows(sessions: Sequence[Session], previews: Sequence[Preview], now: datetime) -> list[Row]:
    known = {session.id for session in sessions}
    below: dict[str | None, list[Session]] = {}
    for session in sorted(sessions, key=lambda each: each.id):
        parent = session.parent_session_id
        below.setdefault(parent if parent in known else None, []).append(session)

    def walk(session: Session, level: int) -> Iterator[Row]:
        yield row(session, previews, now, level)
        for child in below.get(session.id, []):
            yield from walk(child, level + 1)

    return [each for top in reversed(below.get(None, [])) for each in walk(top, 0)]


def row(session: Session, previews: Sequence[Preview], now: datetime, level: int = 0) -> Row:
    return Row(
        session=session,
        level=level,
        seconds=((session.ended_at or now) - session.created_at).total_seconds(),
        previews=tuple(
            each
            for each in previews
            if each.owner_session_id == session.id and each.status in STANDING
        ),
        usd=dollars(session.usage),
        tokens=tokens(session.usage),
    )
