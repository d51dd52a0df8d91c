"""What a builder of images can do. Each verb may be repeated: a killed flow's next run does them all again."""

from collections.abc import Set as AbstractSet
from typing import Protocol

from sidecar.wire.preview_spec import PreviewSpec
from tasks.builders.commands import Say
from tasks.builders.image_source import ImageSource


class Builder(Protocol):
    """All verbs raise Unavailable while what builds is away, which is worth repeating."""

    async def build(self, source: ImageSource, spec: PreviewSpec, say: Say) -> str:
        """`<registry>/<repository>@sha256:…` of the revision by this spec: an earlier build's, else a new one's.

        `say` gets every line of the build's log as it comes. Another process may repeat it after this one was
        killed. Cancelled, it leaves nothing behind.

        Raises FetchFailed when the forge did not hand the revision out (worth repeating), BuildFailed with the
        failing step and the last 50 lines for a fault of the revision.
        """
        ...

    async def operations(self) -> AbstractSet[str]:
        """The ids of those for which there is anything of a build, begun or not."""
        ...

    async def remove(self, operation_id: str) -> None:
        """All that there is of the operation's builds."""
        ...
