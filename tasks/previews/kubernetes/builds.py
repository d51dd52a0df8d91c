"""A bundle's build, as a builder takes it: what is missing in the cluster is worth repeating."""

from sidecar.domain.errors import Unavailable
from sidecar.wire.preview_spec import PreviewSpec
from sidecar.wire.previews import OperationBundle
from tasks.builders.errors import BuildFailed
from tasks.builders.image_source import ImageSource
from tasks.builders.port import Builder
from tasks.previews.errors import HostUnavailable
from tasks.previews.operation import Operation


async def image(builder: Builder, operation: Operation, spec: PreviewSpec) -> str:
    """By digest. Raises FetchFailed, BuildFailed, HostUnavailable."""
    if not operation.bundle.registry:
        raise BuildFailed("this installation has no registry, so nothing is built here")
    try:
        return await builder.build(_source(operation.bundle), spec, operation.say)
    except Unavailable as error:
        raise HostUnavailable(str(error)) from error


def _source(bundle: OperationBundle) -> ImageSource:
    return ImageSource(
        operation_id=bundle.operation_id,
        workspace=bundle.workspace,
        repo=bundle.repo,
        revision=bundle.revision,
        git_url=bundle.git_url,
        git_token=bundle.git_token,
        registry=bundle.registry,
        push_token=bundle.push_token,
    )
