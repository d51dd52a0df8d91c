"""What an agent asks of its pod, as job variables of its deployment: image, resources and room on disk.

They stand over the work pool's defaults. A process pool passes over them: there the agent has the machine.
"""

from typing import Any, Final

from kubernetes.utils.quantity import parse_quantity

from deployments.templates import SESSIONS, read_template
from sidecar.domain.agent import Agent
from sidecar.domain.errors import InvalidArguments

Resources = dict[str, dict[str, str]]
_DISK: Final = "ephemeral-storage"


def job_variables(agent: Agent) -> dict[str, Any]:
    """Raises InvalidArguments for what Prefect would expand as a template, or Kubernetes cannot read."""
    variables: dict[str, Any] = {"agent_image": agent.image} if agent.image else {}
    if agent.resources:
        variables["agent_resources"] = _resources(agent)
        if disk := agent.resources.get("limits", {}).get(_DISK):
            variables["agent_storage_limit"] = disk
    if "{{" in str(variables):
        raise InvalidArguments(f"image and resources of {agent.slug} are plain texts, without {{{{")
    return variables


def _resources(agent: Agent) -> Resources:
    """The pool's defaults under the agent's. Of a pair that no longer fits the agent's number is both."""
    default: Resources = read_template(SESSIONS)["variables"]["properties"]["agent_resources"][
        "default"
    ]
    asked_requests = agent.resources.get("requests", {})
    asked_limits = agent.resources.get("limits", {})
    requests, limits = default["requests"] | asked_requests, default["limits"] | asked_limits
    for name in requests.keys() & limits.keys():
        if _amount(agent, requests[name]) <= _amount(agent, limits[name]):
            continue
        if name in asked_requests and name not in asked_limits:
            limits[name] = requests[name]
        elif name not in asked_requests:
            requests[name] = limits[name]
    return {"requests": requests, "limits": limits}


def _amount(agent: Agent, quantity: str) -> float:
    try:
        return float(parse_quantity(quantity))
    except ValueError as error:
        raise InvalidArguments(
            f"resources of {agent.slug}: {quantity!r} is no quantity; expected one like 500m or 2Gi"
        ) from error
