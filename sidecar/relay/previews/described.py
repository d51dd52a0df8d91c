"""How a revision describes its preview: its spec, and the manifests that it names, read and judged."""

from dataclasses import dataclass, field
from typing import Final

from sidecar.domain.errors import Finding, SpecInvalid
from sidecar.domain.ids import Repository, Revision
from sidecar.domain.image_name import image_name
from sidecar.relay.forge.port import MAX_FILE_BYTES
from sidecar.relay.secret_names import declared_for_previews
from sidecar.relay.services import Services
from sidecar.settings import RelaySettings
from sidecar.wire.preview_abilities import LOCAL, Abilities
from sidecar.wire.preview_manifests import read_manifests
from sidecar.wire.preview_spec import PATH, PreviewSpec, missing, parse_preview

MAX_MANIFESTS: Final = 30
YAML: Final = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """`manifests` are texts by path, for kind manifest alone."""

    text: str
    spec: PreviewSpec
    manifests: dict[str, str] = field(default_factory=dict[str, str])


async def describe(services: Services, repo: Repository, revision: Revision) -> Description:
    """What is fit to be previewed. Raises SpecInvalid with all findings, ForgeUnavailable."""
    abilities = abilities_of(services.settings, repo)
    text = await _spec_text(services, repo, revision)
    spec = parse_preview(text, PATH, abilities)
    if spec.kind != "manifest":
        return Description(text=text, spec=spec)
    manifests = await _manifests(services, repo, revision, spec.directory)
    read_manifests(manifests, spec.port, abilities)
    return Description(text=text, spec=spec, manifests=manifests)


def abilities_of(settings: RelaySettings, repo: Repository) -> Abilities:
    """Without a registry a cluster runs images that others built."""
    if settings.preview_target == "local":
        return LOCAL
    return Abilities(
        kinds=("dockerfile", "manifest") if settings.registry_host else ("manifest",),
        secrets=declared_for_previews(settings.secrets_dir, settings.preview_secrets, repo),
        most=settings.preview_most,
        registry=settings.registry_host,
        image=image_name(repo),
    )


async def _spec_text(services: Services, repo: Repository, revision: Revision) -> str:
    content = await services.forge.read_file(repo, PATH, revision)
    if content is None:
        if not await services.forge.is_ancestor(repo, revision, revision):
            raise SpecInvalid(f"{repo} has no commit {revision}: push it first")
        raise missing()
    return _decoded(content, PATH)


async def _manifests(
    services: Services, repo: Repository, revision: Revision, path: str
) -> dict[str, str]:
    """Of a file, or of a directory's own files; below it is not looked."""
    place = "" if path in (".", "./") else path.removeprefix("./").rstrip("/")
    listed = await services.forge.list_files(repo, place, revision)
    paths = [place] if listed is None else [each for each in listed if each.endswith(YAML)]
    if not paths or len(paths) > MAX_MANIFESTS:
        raise _refused(f"{path} has {len(paths)} YAML files, expected 1 to {MAX_MANIFESTS}")
    texts: dict[str, str] = {}
    for each in paths:
        content = await services.forge.read_file(repo, each, revision)
        if content is None:
            raise _refused(f"{each} is not in the repository at this revision")
        if len(content) >= MAX_FILE_BYTES:
            raise _refused(f"{each} is too long")
        texts[each] = _decoded(content, each)
    return texts


def _refused(message: str) -> SpecInvalid:
    finding = Finding(path="spec.entrypoint.path", message=message)
    return SpecInvalid("the manifests cannot be read:", (finding,))


def _decoded(content: bytes, path: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise SpecInvalid(f"{path} is not UTF-8 text") from error
