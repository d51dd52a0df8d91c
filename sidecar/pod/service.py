"""The pod's process, from its first answer to its last: control API, then one activation, then the end."""

import asyncio
import importlib
import socket

import structlog

from sidecar.domain.errors import X1Error
from sidecar.pod.app import control_app
from sidecar.pod.canary import Canary
from sidecar.pod.lifeline import end_with
from sidecar.pod.listening import service
from sidecar.pod.pod import Pod
from sidecar.settings import PodSettings

HEAVY = ("sidecar.pod.assembly",)
"""Imported while the flow claims its session; together over a second."""

log = structlog.stdlib.get_logger(__name__)


async def serve(settings: PodSettings, listener: socket.socket) -> int:
    """Returns the exit code once the flow is gone, has stopped this process, or a signal came."""
    pod = Pod()
    end_with(settings.lifeline_fd, pod.end)
    server = service(control_app(pod))
    canary = (
        Canary(settings.canary_address, settings.relay_url) if settings.canary_address else None
    )
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(canary.watch(), name="canary") if canary else None
        tasks.create_task(server.serve(sockets=[listener]), name="control API")
        warming = tasks.create_task(asyncio.to_thread(_warm), name="imports")
        try:
            await _live(settings, pod, warming, canary)
        finally:
            if watching is not None:
                watching.cancel()
            log.info("pod ends", reason=pod.reason)
            server.should_exit = True
    return 0


async def _live(
    settings: PodSettings, pod: Pod, warming: "asyncio.Task[None]", canary: Canary | None
) -> None:
    hand_over = await pod.handed()
    if hand_over is None:
        return
    await warming
    assembly = importlib.import_module("sidecar.pod.assembly")
    try:
        async with assembly.assembled(settings, hand_over, canary=canary) as activation:
            pod.is_ready(activation)
            await pod.over()
            await activation.leave(pod.reason)
    except X1Error as error:
        pod.cannot(error)
        await pod.over()


def _warm() -> None:
    for name in HEAVY:
        importlib.import_module(name)
