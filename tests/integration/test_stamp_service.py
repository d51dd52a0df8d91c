"""The stamp service as its image runs it: a process that answers until SIGTERM, and reads its keys anew."""

import asyncio
import signal
import socket
import sys

import httpx
import pytest
import tenacity

from sidecar.domain.stamp import PLACE, stamp

pytestmark = pytest.mark.real
SHA = "a" * 40
PATIENT = tenacity.AsyncRetrying(
    stop=tenacity.stop_after_delay(60),
    wait=tenacity.wait_fixed(0.1),
    retry=tenacity.retry_if_exception_type(httpx.TransportError),
)


async def test_it_stamps_with_the_keys_of_the_moment_and_ends_well_on_sigterm(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("one\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {"X1_STAMP_KEYS_FILE": str(keys), "X1_STAMP_PORT": str(port)}
    service = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "stamps"), env=environment
    )
    try:
        url, headers = f"http://127.0.0.1:{port}{PLACE}{SHA}?nonce=n", {"host": "App.test:443"}
        async with httpx.AsyncClient(trust_env=False) as http:
            first = await PATIENT(http.get, url, headers=headers)
            assert first.text == stamp("one", host="app.test", revision=SHA, nonce="n")
            keys.write_text("two\none\n")
            second = await http.get(url, headers=headers)
            assert second.text.split()[1:] == [first.text]
            assert (await http.get(f"http://127.0.0.1:{port}/")).status_code == 404
        service.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(service.wait(), 60) == 0
    finally:
        if service.returncode is None:
            service.kill()
            await service.wait()
