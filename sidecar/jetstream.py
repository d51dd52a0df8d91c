"""Making a JetStream stream what it is to be, as often as anybody begins."""

from dataclasses import fields
from typing import Final

from nats.js.api import StreamConfig
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, NotFoundError

OTHER_CONFIG: Final = 10058
"""The stream is there with another configuration: https://github.com/nats-io/nats-server/blob/main/server/errors.json"""
UNSAID: Final = StreamConfig()
"""What a wish leaves open."""


async def ensure(stream: JetStreamContext, wished: StreamConfig) -> None:
    """`wished` names the stream; what it leaves open is the server's. Raises nats.errors.Error.

    One that is as wished is not asked for again: the server would want room for all of it a second time
    before it sees that nothing is to be made, and refuse where the disk holds it once.
    """
    assert wished.name is not None
    try:
        found = await stream.stream_info(wished.name)
    except NotFoundError:
        await _add(stream, wished)
        return
    if not _is_as_wished(found.config, wished):
        await stream.update_stream(wished)


async def _add(stream: JetStreamContext, wished: StreamConfig) -> None:
    """Another may have made it in between."""
    try:
        await stream.add_stream(wished)
    except APIError as error:
        if error.err_code != OTHER_CONFIG:
            raise
        await stream.update_stream(wished)


def _is_as_wished(found: StreamConfig, wished: StreamConfig) -> bool:
    asked = {each.name: getattr(wished, each.name) for each in fields(StreamConfig)}
    return all(
        getattr(found, name) == value
        for name, value in asked.items()
        if value is not None and value != getattr(UNSAID, name)
    )
