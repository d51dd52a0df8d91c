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


def image_repository(workspace: str, repo: str) -> str:
    """As the distribution spec allows names: lower case, separators single. `repo` is `owner/name`."""
    return f"{ROOT}/{workspace}/{image_name(repo)}"


def image_name(repo: str) -> str:
    """The last part of it, which no other repository has in any workspace."""
    readable = _SEPARATORS.sub("-", repo.lower())[:_MAX_READABLE].strip("-")
    digest = hashlib.sha256(repo.encode()).hexdigest()[:_DIGEST]
    return f"{readable}-{digest}".lstrip("-")
