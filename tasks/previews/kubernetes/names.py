"""What the objects of a preview are called, and by which labels they are found again."""

import hashlib
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from sidecar.wire.preview_spec import DependencySpec
from sidecar.wire.previews import OperationBundle

MANAGER: Final = "x1flows"
PREVIEW: Final = "x1flows.io/preview"
REVISION: Final = "x1flows.io/revision"
WORKSPACE: Final = "x1flows.io/workspace"
ROLE: Final = "x1flows.io/role"
DEPENDENCY: Final = "x1flows.io/dependency"
MAX_NAME: Final = 63
DIGEST: Final = 20
"""Long enough that nobody finds a name of theirs which is also another preview's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Of one revision of one preview. Two previews may have a revision in common, so each name has both."""

    preview: str
    revision: str
    alias_host: str
    url_host: str

    @classmethod
    def of(cls, bundle: OperationBundle) -> "Names":
        return cls(
            preview=bundle.preview_id,
            revision=bundle.revision,
            alias_host=urlsplit(bundle.alias_url).hostname or "",
            url_host=urlsplit(bundle.url).hostname or "",
        )

    @property
    def app(self) -> str:
        """The revision's own: Deployment, Service, alias route, Secret of its environment."""
        return _named(self.alias_host, self.preview, self.revision)

    @property
    def route(self) -> str:
        """The branch's route."""
        return _named(self.url_host, self.preview)

    @property
    def login(self) -> str:
        """The Secret by which nodes pull its images."""
        return _named(self.url_host, self.preview, "login")

    def dependency(self, one: DependencySpec) -> str:
        """Of its kind: a Redis that takes a PostgreSQL's name over is another server with another password."""
        return _named(one.name, self.preview, "dependency", one.kind, one.name)

    def part(self, kind: str, name: str) -> str:
        """An object of the repository's own manifests."""
        return _named(name, self.preview, self.revision, kind, name)


def _named(readable: str, *identity: str) -> str:
    first = readable.partition(".")[0].lower()
    label = "".join(c if c.isascii() and c.isalnum() else "-" for c in first)
    digest = hashlib.sha256("\n".join(identity).encode()).hexdigest()[:DIGEST]
    return f"p-{label[: MAX_NAME - DIGEST - 3].strip('-') or 'x'}-{digest}"


def labels(bundle: OperationBundle, role: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/part-of": "x1flows",
        "app.kubernetes.io/component": "preview",
        ROLE: role,
        PREVIEW: bundle.preview_id,
        WORKSPACE: bundle.workspace or "default",
    }


def revision_labels(bundle: OperationBundle, role: str) -> dict[str, str]:
    """Of what goes with the revision."""
    return labels(bundle, role) | {REVISION: bundle.revision}


def selecting(bundle: OperationBundle) -> dict[str, str]:
    """The app's pods of this revision, and nobody else's."""
    tags = revision_labels(bundle, "app")
    return {name: tags[name] for name in (ROLE, PREVIEW, REVISION)}


def annotations(bundle: OperationBundle) -> dict[str, str]:
    """What is too long or too free for a label."""
    return {
        "x1flows.io/repo": bundle.repo,
        "x1flows.io/branch": bundle.branch,
        "x1flows.io/url": bundle.url,
    }
