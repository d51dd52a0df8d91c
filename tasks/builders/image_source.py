"""What is built into an image, for whom, and what builds of a cluster are made of."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from sidecar.domain.image_name import image_repository

BUILD_SECONDS: Final = 1800


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """One revision of one repository, and the tokens that its build needs.

    `git_token` reads this one repository at `git_url`/`repo`; `push_token` is the relay's login for one repository
    of the registry. Neither appears in an argument, a URL, an environment or a log. `registry` is `host:port`, as
    images are named.
    """

    operation_id: str
    workspace: str
    repo: str
    revision: str
    git_url: str
    git_token: SecretStr
    registry: str
    push_token: SecretStr

    @property
    def repository(self) -> str:
        """`ws/<workspace>/…`: the one that `push_token` pushes to."""
        return image_repository(self.workspace, self.repo)

    @property
    def image(self) -> str:
        """Without tag or digest."""
        return f"{self.registry}/{self.repository}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlace:
    """Where and of what builds are made. Quantities are Kubernetes'.

    `agent_image` has git and a shell; `buildkit_image` has buildkitd, buildctl and a shell. `config_map` (key
    `buildkitd.toml`) says mirrors and registries without TLS. `is_plain_registry`: the registry speaks http.
    `authorities` is a ConfigMap beside the builds (key `ca.crt`), `authorities_file` its like here: whom forge and
    registry are trusted by, beside the public ones.
    """

    agent_image: str
    buildkit_image: str = "moby/buildkit:v0.34.2"
    namespace: str = "x1-builds"
    service_account: str = "build"
    config_map: str = "buildkitd"
    is_plain_registry: bool = False
    authorities: str = "x1-authorities"
    authorities_file: Path | None = None
    is_rootless: bool = False
    seconds: int = BUILD_SECONDS
    cpu: tuple[str, str] = ("250m", "4")
    """(request, limit), as `memory`."""
    memory: tuple[str, str] = ("512Mi", "4Gi")
    disk: str = "20Gi"
    """For layers and cache; a build that needs more is evicted."""
    image_pull_secrets: tuple[str, ...] = field(default=())
