"""kubectl, as an operator would call it: the context that is current, server-side apply, one field manager."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from infra.local.errors import AskedFailed, NotThere

FIELD_MANAGER: Final = "x1"
CALL_SECONDS: Final = 120.0
NOT_FOUND: Final = "NotFound"


class Kubectl:
    """Raises NotThere when there is no kubectl or no cluster behind it, AskedFailed with its words otherwise."""

    def __init__(self, context: str | None = None) -> None:
        found = shutil.which("kubectl")
        if found is None:
            raise NotThere(
                expected="kubectl on PATH",
                came="there is none",
                then="https://kubernetes.io/docs/tasks/tools/",
            )
        self._argv = [found, *(["--context", context] if context else [])]

    def run(
        self, *words: str, given: str | None = None, timeout: float = CALL_SECONDS
    ) -> "subprocess.CompletedProcess[str]":
        """Whatever its exit code is."""
        try:
            return subprocess.run(
                [*self._argv, *words],
                input=given,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise AskedFailed(
                expected=f"kubectl {words[0]} within {timeout:g} s",
                came="no answer",
                then="kubectl cluster-info",
            ) from error

    def must(self, *words: str, given: str | None = None, timeout: float = CALL_SECONDS) -> str:
        done = self.run(*words, given=given, timeout=timeout)
        if done.returncode:
            said = done.stderr.strip()
            if "refused" in said or "no such host" in said or "Unable to connect" in said:
                raise NotThere(
                    expected="a cluster that answers",
                    came=said.splitlines()[-1],
                    then="kubectl cluster-info; KUBECONFIG names the cluster",
                )
            raise AskedFailed(
                expected=f"kubectl {' '.join(words[:3])} to be done",
                came=said[-2000:] or f"exit {done.returncode}",
                then="x1 cluster doctor",
            )
        return done.stdout

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """The object, or None."""
        where = ["-n", namespace] if namespace else []
        done = self.run("get", kind, name, *where, "-o", "json")
        if done.returncode and NOT_FOUND in done.stderr:
            return None
        return json.loads(
            done.stdout
            if done.returncode == 0
            else self.must("get", kind, name, *where, "-o", "json")
        )

    def listing(self, kind: str, *words: str) -> list[dict[str, Any]]:
        return list(json.loads(self.must("get", kind, *words, "-o", "json"))["items"])

    def apply(self, manifests: str, *words: str) -> list[str]:
        """Server-side; fields that others own are taken. One line an object."""
        done = self.must(
            *("apply", "--server-side", "--force-conflicts", "--field-manager", FIELD_MANAGER),
            *("-f", "-", *words),
            given=manifests,
        )
        return done.splitlines()

    def kustomize(self, directory: Path) -> str:
        return self.must("kustomize", "--load-restrictor", "LoadRestrictionsNone", str(directory))

    def place(self) -> str:
        """The context, and the cluster's address."""
        shown = "{.contexts[0].name} at {.clusters[0].cluster.server}"
        return self.must("config", "view", "--minify", "-o", f"jsonpath={shown}").strip()

    def words(self, *words: str) -> list[str]:
        """The command line of a long one, such as port-forward; the caller runs and ends it."""
        return [*self._argv, *words]
