"""JSON-RPC 2.0 over standard input and output, one message a line."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any, Final

MAX_LINE: Final = 16 * 1024 * 1024
Message = dict[str, Any]


async def messages() -> AsyncIterator[Message]:
    """Until the client closes its end. What is no message is passed over, with a word on standard error."""
    reader = asyncio.StreamReader(limit=MAX_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        if not line.strip():
            continue
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if isinstance(message, dict):
            yield message
        else:
            sys.stderr.write(f"not a message: {line[:200]!r}\n")


def write(message: Message) -> None:
    """Whole lines, in order. Blocks while the client does not read: it sets the pace."""
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()
