"""What a preview target can do. Each verb may be repeated: a killed flow's next run does them all again."""

from collections.abc import Sequence
from typing import Protocol

from sidecar.wire.preview_abilities import Abilities
from sidecar.wire.preview_spec import PreviewSpec
from sidecar.wire.previews import OperationBundle
from tasks.previews.operation import Operation
from tasks.previews.way import Way


class PreviewTarget(Protocol):
    """All verbs raise HostUnavailable while the target is away.

    An `artifact` is what was built: a directory here, an image by digest there.
    """

    @property
    def way(self) -> Way:
        """How its previews are asked."""
        ...

    def abilities(self, bundle: OperationBundle) -> Abilities:
        """What it can do of the bundle's spec."""
        ...

    async def build(self, operation: Operation, spec: PreviewSpec) -> str:
        """The revision's artifact, made or found. Raises FetchFailed, which may be repeated, or BuildFailed."""
        ...

    async def start(self, operation: Operation, spec: PreviewSpec, artifact: str) -> None:
        """Runs it and answers at the alias. Raises NotProven with the app's log. The URL is as it was."""
        ...

    async def switch(self, operation: Operation, spec: PreviewSpec, artifact: str) -> None:
        """Leads the branch's URL to the revision. What it led to before stays."""
        ...

    async def switch_back(self, bundle: OperationBundle) -> bool:
        """Leads the URL to what is served by the ledger, to nothing if nothing is. False: it does already."""
        ...

    async def tidy(self, bundle: OperationBundle, kept: Sequence[str]) -> None:
        """Removes all revisions of the preview but these."""
        ...

    async def log(self, bundle: OperationBundle, tail: int) -> list[str]:
        """The app's last lines. Raises NotProven when nothing runs."""
        ...

    async def release(self, bundle: OperationBundle) -> None:
        """Removes all of the preview."""
        ...
