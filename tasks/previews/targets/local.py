"""One machine: processes under the preview host, behind its proxy."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from sidecar.wire.preview_abilities import LOCAL, Abilities
from sidecar.wire.preview_spec import PreviewSpec
from sidecar.wire.previews import OperationBundle
from tasks.builders import process
from tasks.builders.process import Place, Source
from tasks.previews.host import PreviewHost, Start, host_of
from tasks.previews.operation import Operation
from tasks.previews.way import Way


class LocalTarget:
    way: Way = Way()

    def __init__(self, builds_dir: Path, host_socket: Path) -> None:
        self._builds_dir = builds_dir
        self._host_socket = host_socket

    def abilities(self, bundle: OperationBundle) -> Abilities:  # noqa: ARG002 - the port's
        return LOCAL

    async def build(self, operation: Operation, spec: PreviewSpec) -> str:
        """Exactly the revision, fetched with a token for this one repository."""
        bundle, place = operation.bundle, self._place(operation.bundle)
        if (tree := process.finished(place, bundle.revision, spec)) is not None:
            return str(tree)
        operation.say(f"$ git fetch {bundle.repo} {bundle.revision}")
        source = Source(
            git_url=bundle.git_url,
            repo=bundle.repo,
            branch=bundle.branch,
            revision=bundle.revision,
            git_token=bundle.git_token,
        )
        tree = await process.fetch(place, source, operation.say)
        operation.say(f"$ {' '.join(spec.build) or '(nothing to build)'}")
        return str(await process.build(place, bundle.revision, tree, spec, operation.say))

    async def start(self, operation: Operation, spec: PreviewSpec, artifact: str) -> None:
        bundle = operation.bundle
        wanted = Start(
            argv=list(spec.run),
            cwd=str(process.inside(Path(artifact), spec.directory)),
            env={**spec.env, **dict.fromkeys(spec.self_url_names, bundle.url)},
            url_host=host_of(bundle.url),
            alias_host=host_of(bundle.alias_url),
            health_path=spec.health_path,
            timeout_seconds=spec.startup_seconds,
        )
        async with PreviewHost(self._host_socket) as host:
            await host.start(bundle.preview_id, bundle.revision, wanted)

    async def switch(self, operation: Operation, spec: PreviewSpec, artifact: str) -> None:  # noqa: ARG002 - the port's
        bundle = operation.bundle
        async with PreviewHost(self._host_socket) as host:
            await host.switch(bundle.preview_id, bundle.revision)
        await asyncio.to_thread(process.tidy, self._place(bundle), Path(artifact))

    async def switch_back(self, bundle: OperationBundle) -> bool:  # noqa: ARG002 - the port's
        """The host ended the other revisions when it switched."""
        return False

    async def tidy(self, bundle: OperationBundle, kept: Sequence[str]) -> None:
        """The host ends what it does not prove, and at a switch the others: nothing is left over."""

    async def log(self, bundle: OperationBundle, tail: int) -> list[str]:
        async with PreviewHost(self._host_socket) as host:
            return await host.log(bundle.preview_id, tail)

    async def release(self, bundle: OperationBundle) -> None:
        async with PreviewHost(self._host_socket) as host:
            await host.release(bundle.preview_id)
        await asyncio.to_thread(process.tidy, self._place(bundle), None)

    def _place(self, bundle: OperationBundle) -> Place:
        return Place(root=self._builds_dir, preview_id=bundle.preview_id)
