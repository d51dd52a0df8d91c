"""`python tls_gate.py PORT BEHIND DIR [postgres]`: TLS before a server of this pod that speaks none.

With `postgres` the client asks for TLS first, as that protocol has it; who does not is sent away, as `hostssl` in
pg_hba.conf does. DIR holds tls.crt and tls.key.
https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
"""

import asyncio
import contextlib
import ssl
import struct
import sys
from pathlib import Path

SSL_REQUEST, GSS_REQUEST = struct.pack("!ii", 8, 80877103), struct.pack("!ii", 8, 80877104)
CHUNK_BYTES = 1 << 16


async def main(port: int, behind: int, folder: Path, *, is_asked_for: bool) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            if not is_asked_for or await asks_for_tls(reader, writer):
                if is_asked_for:
                    writer.write(b"S")
                    await writer.drain()
                    await writer.start_tls(context)
                inner = await asyncio.open_connection("127.0.0.1", behind)
                await asyncio.gather(carry(reader, inner[1]), carry(inner[0], writer))
        writer.close()

    at_once = None if is_asked_for else context
    async with await asyncio.start_server(serve, "0.0.0.0", port, ssl=at_once) as server:
        await server.serve_forever()


async def asks_for_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    asked = await reader.readexactly(8)
    if asked == GSS_REQUEST:
        writer.write(b"N")
        asked = await reader.readexactly(8)
    return asked == SSL_REQUEST


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """To the end of one direction, which ends the other one."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    port, behind, folder, *protocol = sys.argv[1:]
    asyncio.run(main(int(port), int(behind), Path(folder), is_asked_for="postgres" in protocol))
