"""How images of previews are named in the registry: relay, builds and previews must agree.

`ws/<workspace>/<owner>-<repo>-<digest>`: the digest is of the repository's exact name, because `a-b/c` and `a/b-c`
would share a name otherwise, and whoever pushes one could replace the other.
"""

import hashlib
import re
from typing import Final

ROOT: Final = "ws"
_MAX_READABLE: Final = 80
_DIGEST: Final = 12
_SEPARATORS: Final = re.compile(r"[^a-z0-9]+")


def workspace_prefix(workspace: str) -> str:
    """What every image repository of a workspace begins with, up to the slash."""
    return f"{ROOT}/{workspace}/"


def image_repository(workspace: str, repo: str) -> str:
    """As the distribution spec allows names: lower case, separators single. `repo` is `owner/name`."""
    readable = _SEPARATORS.sub("-", repo.lower())[:_MAX_READABLE].strip("-")
    digest = hashlib.sha256(repo.encode()).hexdigest()[:_DIGEST]
    return workspace_prefix(workspace) + f"{readable}-{digest}".lstrip("-")
