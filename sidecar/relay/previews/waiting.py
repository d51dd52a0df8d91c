"""Waiting for an operation's end on a caller's behalf: on nudges, and by looking, as nudges may be lost."""

import asyncio
from dataclasses import replace
from typing import Final

from sidecar.domain.ids import OperationId
from sidecar.domain.preview import Operation
from sidecar.relay import nudges
from sidecar.relay.services import Services

LOOK_EVERY_SECONDS: Final = 0.5
WAITING: Final = "waiting"
"""In an operation's arguments while its caller waits: such a caller needs no wake."""


async def final(services: Services, operation_id: OperationId, seconds: float) -> Operation:
    """The operation when it is final, or as it stands after `seconds`. Who stops waiting will be woken."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    while True:
        async with services.store.transaction() as tx:
            operation = await tx.operations.get(operation_id)
        left = deadline - clock()
        if operation.state.is_final or left <= 0:
            break
        pause = min(left, LOOK_EVERY_SECONDS)
        await services.nudges.wait(nudges.operation(operation_id), pause)
    return operation if operation.state.is_final else await _stop_waiting(services, operation_id)


async def _stop_waiting(services: Services, operation_id: OperationId) -> Operation:
    """One last look under the row's lock, so that its end is told exactly once: here, or by a wake."""
    async with services.store.transaction() as tx:
        operation = await tx.operations.lock(operation_id)
        if operation.state.is_final or not operation.arguments.get(WAITING):
            return operation
        alone = replace(operation, arguments={**operation.arguments, WAITING: False})
        await tx.operations.save(alone)
        return alone
