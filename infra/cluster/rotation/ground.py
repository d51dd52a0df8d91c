"""What each rotation does its work with: the whole set of secrets, and workloads that are to read them again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.cluster import secrets
from infra.cluster.kubectl import Kubectl
from infra.cluster.readiness import WORKLOADS, Say, await_ready
from infra.cluster.secrets import SYSTEM
from infra.cluster.stamps import ANNOTATION, ONCE, digest, standing
from infra.local.errors import NotThere


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    kubectl: Kubectl
    say: Say

    @property
    def whole(self) -> dict[str, str]:
        """As it stands in the cluster. Raises NotThere when nothing is installed."""
        found = secrets.read(self.kubectl, secrets.WHOLE)
        if found is None:
            raise NotThere(
                expected="an installation", came="the cluster has none", then="x1 cluster install"
            )
        return found

    def has(self, name: str) -> bool:
        return any(each["metadata"]["name"] == name for each in self._workloads())

    def put(self, changes: Mapping[str, str | None]) -> None:
        """None takes a secret out of the whole."""
        merged = {**self.whole, **changes}
        whole = {name: value for name, value in merged.items() if value is not None}
        for name in secrets.put(self.kubectl, whole):
            self.say(f"changed: {name}")

    def restart(self, *names: str) -> None:
        """One after another, each ready again before the next; only those that read something else than before.

        One that an interrupted rotation has left on its way is waited for, too.
        """
        for name in names:
            for each in self._workloads():
                if each["metadata"]["name"] == name:
                    if self._restamp(each):
                        self.say(f"restarting {name}")
                    await_ready(self.kubectl, [each], self.say)

    def _restamp(self, workload: Mapping[str, Any]) -> bool:
        template = workload["spec"]["template"]
        stamp = digest(template["spec"], SYSTEM, standing(self.kubectl))
        if template["metadata"].get("annotations", {}).get(ANNOTATION) in (stamp, ONCE):
            return False
        annotated = {"metadata": {"annotations": {ANNOTATION: stamp}}}
        patch = json.dumps({"spec": {"template": annotated}})
        self.kubectl.must(
            *("patch", workload["kind"].lower(), workload["metadata"]["name"], "-n", SYSTEM),
            *("--type", "merge", "--field-manager", "x1", "--patch", patch),
        )
        return True

    def _workloads(self) -> list[dict[str, Any]]:
        return [each for kind in WORKLOADS for each in self._listed(kind)]

    def _listed(self, kind: str) -> list[dict[str, Any]]:
        return self.kubectl.listing(kind, "-n", SYSTEM)
