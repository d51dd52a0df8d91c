"""A push's last bytes wait for every answer, and go with none of them missing."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from packs import COMMIT, commit_content, entry, id_of, moves, packed

from sidecar.domain.attachment import Attachment
from sidecar.domain.errors import ForgeUnavailable
from sidecar.domain.ids import Repository
from sidecar.pod.gitgate.packscan import PackScanner
from sidecar.pod.gitgate.push import HELD_BYTES, Denied, Push

OLD, MIDDLE = "a" * 40, "b" * 40
CONTENT = commit_content(MIDDLE)
HEAD = moves(OLD, id_of(CONTENT))
PACK = packed(entry(COMMIT, CONTENT))
APP = Attachment(repo=Repository("acme/app"), branch="main", mount_path="app", allow_push=True)


@dataclass
class Sent:
    """What the forge got, and which questions came before its end."""

    answer: bool | ForgeUnavailable
    body: bytes = b""
    asked: list[str] = field(default_factory=list)

    async def is_ancestor(self, old: str, new: str) -> bool:
        self.asked.append("compare")
        if isinstance(self.answer, ForgeUnavailable):
            raise self.answer
        return self.answer

    async def fence(self) -> None:
        self.asked.append("fence")
        assert self.body == HEAD.encode() + PACK[:-HELD_BYTES]

    async def push(self) -> None:
        async def rest() -> AsyncIterator[bytes]:
            for at in range(40, len(PACK), 40):
                yield PACK[at : at + 40]

        scanner = PackScanner(APP, HEAD, is_ancestor=self.is_ancestor)
        push = Push(attachment=APP, head=HEAD, scanner=scanner, fence=self.fence)
        async for chunk in push.body(PACK[:40], rest()):
            self.body += chunk


async def test_the_last_bytes_go_after_the_proof_and_the_fence():
    sent = Sent(answer=True)
    await sent.push()
    assert sent.asked == ["compare", "fence"]
    assert sent.body == HEAD.encode() + PACK


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(False, "force push is refused"), (ForgeUnavailable("the forge is away"), "is away")],
)
async def test_without_a_proof_they_do_not_go(answer: bool | ForgeUnavailable, reason: str):
    sent = Sent(answer=answer)
    with pytest.raises(Denied, match=reason):
        await sent.push()
    assert sent.asked == ["compare"]
    assert sent.body == HEAD.encode() + PACK[:-HELD_BYTES]
