"""The agent's zone: its directories, its environment, its git configuration.

What lies there, not how it gets there, which is for `sidecar.pod.hands`. Nothing is inherited but PATH and
nothing secret is in the environment. The git capability lies in a file that only the credential helper needs;
it is worthless anywhere but at this sidecar's loopback port.
"""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidecar.domain.attachment import Attachment
from sidecar.domain.errors import InvalidArguments
from sidecar.pod.hands import Hands

GATEWAY_LABEL: Final = "github.localhost"
"""A virtual host, not a path: `git remote -v` stays readable for tools that parse it."""

_OWN_HOSTS: Final = ("127.0.0.1", "localhost", ".localhost")

_HELPER: Final = """#!/bin/sh
# Answers for this pod's git gateway alone, and silently for every other host.
[ "$1" = get ] || exit 0
host=
while IFS='=' read -r key value && [ -n "$key" ]; do case $key in host) host=$value ;; esac; done
[ "$host" = "{gateway}" ] || exit 0
printf 'username=x1\\npassword=%s\\n' "$(cat '{capability}')"
"""

_GITCONFIG: Final = """[user]
	name = {name}
	email = {name}@agents.x1.invalid
[init]
	defaultBranch = main
[push]
	autoSetupRemote = true
[advice]
	detachedHead = false
[protocol]
	version = 2
[lfs]
	locksverify = false
[http]
	curloptResolve = {gateway}:127.0.0.1
[url "http://{gateway}/"]
	insteadOf = https://{forge}/
	insteadOf = git@{forge}:
	insteadOf = ssh://git@{forge}/
	insteadOf = git://{forge}/
[credential]
	helper =
[credential "http://{gateway}"]
	helper = x1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outward:
    """How the agent reaches the outside: by a proxy at loopback's `port`, but for `direct_domains`."""

    port: int
    direct_domains: tuple[str, ...] = ()

    def environment(self) -> dict[str, str]:
        """As curl, git, pip, npm, Go and Python read it, in both spellings, and Node when it is told to."""
        url = f"http://127.0.0.1:{self.port}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
        return {**dict.fromkeys(names, url), "NODE_USE_ENV_PROXY": "1"}


class Zone:
    """Paths below `state_dir` outlive the activation; the port and the capability do not."""

    def __init__(
        self,
        *,
        hands: Hands,
        workspace_dir: Path,
        state_dir: Path,
        agent: str,
        forge_host: str,
        port: int,
        outward: Outward | None = None,
    ) -> None:
        self._outward = outward
        self.hands = hands
        self.workspace_dir = workspace_dir
        self.state_dir = state_dir
        self.home = state_dir / "home"
        self.port = port
        self.capability = secrets.token_urlsafe(32)
        self.forge_host = forge_host
        self._agent = agent
        self._bin = state_dir / "bin"
        self._tmp = state_dir / "tmp"
        self._config = state_dir / "gitconfig"
        self._capability_file = state_dir / "git-capability"

    @property
    def sidecar_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def prepare(self) -> None:
        """Creates directories and rewrites what names this activation's port. Repeatable."""
        await self.hands.remove(self._tmp)
        await self.hands.make_folders(
            self.workspace_dir, self.state_dir, self.home, self._bin, self._tmp
        )
        gateway = f"{GATEWAY_LABEL}:{self.port}"
        await self.hands.put(self._capability_file, self.capability, 0o600)
        helper = _HELPER.replace("{gateway}", gateway).replace(
            "{capability}", str(self._capability_file).replace("'", "'\\''")
        )
        await self.hands.put(self._bin / "git-credential-x1", helper, 0o700)
        config = _GITCONFIG.format(name=self._agent, gateway=gateway, forge=self.forge_host)
        await self.hands.put(self._config, config, 0o600)

    @property
    def rewritten(self) -> list[str]:
        """What `prepare` makes anew, capability included, and what programs fetch again: nobody's state."""
        own = (self._tmp, self._bin, self._capability_file, self._config)
        return [str(each) for each in (*own, self.home / ".cache", self.home / ".npm")]

    def environment(self, attachments: Sequence[Attachment]) -> dict[str, str]:
        """For `hands`, which adds the zone's own PATH to this one."""
        outward = self._outward
        direct = ",".join(
            [*_OWN_HOSTS, *(f".{each}" for each in (outward.direct_domains if outward else ()))]
        )
        return {
            "HOME": str(self.home),
            "TMPDIR": str(self._tmp),
            "PATH": str(self._bin),
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "TERM": "dumb",
            "NO_COLOR": "1",
            "DO_NOT_TRACK": "1",
            "USER": "agent",
            "SHELL": "/bin/sh",
            "NO_PROXY": direct,
            "no_proxy": direct,
            **(outward.environment() if outward else {}),
            "GIT_CONFIG_GLOBAL": str(self._config),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "X1_SIDECAR_URL": self.sidecar_url,
            "AGENT_REPOS_JSON": self._repositories(attachments),
        }

    async def put(self, path: str, text: str) -> None:
        """Writes a file below HOME. Raises InvalidArguments for a path out of it."""
        target = Path(path)
        if target.is_absolute() or ".." in target.parts:
            raise InvalidArguments(f"{path!r} is not inside the runtime's home")
        await self.hands.put(self.home / target, text, 0o600)

    def path_of(self, attachment: Attachment) -> Path:
        """Where a repository is mounted. Raises InvalidArguments for a path out of the workspace."""
        mount = Path(attachment.mount_path)
        if mount.is_absolute() or ".." in mount.parts or not mount.parts:
            raise InvalidArguments(
                f"mount_path {attachment.mount_path!r} is not inside the workspace"
            )
        return self.workspace_dir / mount

    def _repositories(self, attachments: Sequence[Attachment]) -> str:
        return json.dumps(
            [
                {
                    "repo": each.repo,
                    "path": str(self.path_of(each)),
                    "branch": each.branch,
                    "allow_push": each.allow_push,
                    "allow_branches": list(each.allow_branches),
                }
                for each in attachments
            ]
        )
