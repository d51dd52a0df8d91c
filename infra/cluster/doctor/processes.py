"""Whether a node limits how many processes a pod has, by what its kubelet says it runs with.

No field of a pod says so, and no quota: without the kubelet's limit an agent, a build step or a preview that forks
without end takes the process ids of everybody on its node.
"""

import json
from typing import Final

from infra.cluster.doctor.finding import Finding, ok, unknown, warned
from infra.cluster.kubectl import Kubectl

NAME: Final = "pids"
EXPECTED: Final = "a limit of processes for each pod, on every node"
REMEDY: Final = (
    "podPidsLimit: 4096 in each node's KubeletConfiguration, and restart its kubelet; kind takes it as a "
    "kubeadmConfigPatch, managed clusters as a setting of the node pool"
)
SHOWN: Final = 6


def limits(kubectl: Kubectl) -> Finding:
    names = [each["metadata"]["name"] for each in kubectl.listing("node")]
    found = {name: _limit(kubectl, name) for name in names}
    open_ones = [name for name, limit in found.items() if limit is not None and limit <= 0]
    if open_ones:
        return warned(NAME, EXPECTED, f"none on {_shown(open_ones)}", REMEDY)
    silent = [name for name, limit in found.items() if limit is None]
    if silent:
        remedy = f"ask as somebody who may get nodes/proxy, or look there: {REMEDY}"
        return unknown(NAME, EXPECTED, f"the kubelets of {_shown(silent)} do not say", remedy)
    least = min((limit for limit in found.values() if limit), default=0)
    return ok(NAME, EXPECTED, f"{least} or more on each of {len(names)}")


def _limit(kubectl: Kubectl, node: str) -> int | None:
    """Zero and less are no limit; None: it does not say. A node may be away: that is no failure of the cluster."""
    done = kubectl.run("get", "--raw", f"/api/v1/nodes/{node}/proxy/configz")
    if done.returncode:
        return None
    return int(json.loads(done.stdout)["kubeletconfig"].get("podPidsLimit", -1))


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
