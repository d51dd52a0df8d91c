"""What an operation's flow run is given beside the preview's row: texts, and tokens for one use."""

from dataclasses import dataclass, field

from pydantic import SecretStr

from sidecar.domain.errors import SpecInvalid
from sidecar.domain.preview import Operation, OperationKind, Preview
from sidecar.relay.previews.described import Description, describe
from sidecar.relay.services import Services

NOTHING = SecretStr("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Briefing:
    """As in `OperationBundle`. All empty but for a deploy."""

    git_token: SecretStr = NOTHING
    spec_text: str = ""
    manifests: dict[str, str] = field(default_factory=dict[str, str])
    secrets: dict[str, SecretStr] = field(default_factory=dict[str, SecretStr])
    registry: str = ""
    push_token: SecretStr = NOTHING
    pull_token: SecretStr = NOTHING


async def brief(services: Services, preview: Preview, operation: Operation) -> Briefing:
    """A spec that is not valid any more is left out, and the run says so. Raises Unavailable, Forbidden."""
    if operation.kind is not OperationKind.DEPLOY:
        return Briefing()
    git_token = (await services.forge.token(preview.repo, "read")).secret
    try:
        told = await describe(services, preview.repo, operation.revision)
    except SpecInvalid:
        return Briefing(git_token=git_token)
    registry = services.registry_tokens
    return Briefing(
        git_token=git_token,
        spec_text=told.text,
        manifests=told.manifests,
        secrets=_secrets(services, told),
        registry=services.settings.registry_host,
        push_token=registry.push_token(preview.workspace, preview.repo) if registry else NOTHING,
        pull_token=registry.pull_token(preview.workspace, preview.repo) if registry else NOTHING,
    )


def _secrets(services: Services, told: Description) -> dict[str, SecretStr]:
    """By name; those that the spec names were found to be declared and configured."""
    folder = services.settings.secrets_dir
    names = {name for _, name in told.spec.secret_env}
    return {name: SecretStr((folder / name).read_text().strip()) for name in sorted(names)}
