"""The stack's table of contents: which components there are, what each needs, in the order of reading."""

from infra.local.component import Component
from infra.local.components import (
    forge,
    forkserver,
    nats,
    postgres,
    prefect,
    previewhost,
    proxy,
    relay,
    worker,
)
from infra.local.stack import Stack


def components(stack: Stack) -> tuple[Component, ...]:
    return (
        postgres.component(stack),
        nats.component(stack),
        forge.component(stack),
        prefect.component(stack),
        relay.component(stack),
        forkserver.component(stack),
        worker.component(stack),
        proxy.component(stack),
        previewhost.component(stack),
    )
