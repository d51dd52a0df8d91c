"""Real parts for tests that are marked `real`: PostgreSQL and NATS from their wheels, stopped at the end."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
import pytest

from infra.local.components import natskeys, postgres


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def eventually(condition: Callable[[], bool], seconds: float = 60, what: str = "it") -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about within {seconds} s"
        time.sleep(0.02)


@dataclass
class RealProcess:
    """A real part that a test may kill and start again at the same address."""

    argv: list[str]
    is_ready: Callable[[], bool]
    process: subprocess.Popen | None = field(default=None)
    stop_signal: int = signal.SIGTERM

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.argv,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        eventually(self.is_ready, what=self.argv[0])

    def kill(self) -> None:
        """With all that it started: PostgreSQL does not start while a child of the last one lives."""
        assert self.process is not None
        leader = psutil.Process(self.process.pid)
        leader.suspend()
        family = [leader, *leader.children(recursive=True)]
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        self.process.wait(60)
        psutil.wait_procs(family, timeout=10)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            self.process.wait(60)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[tuple[RealProcess, str]]:
    words = list(postgres.as_other_user())
    home = Path(tempfile.mkdtemp(prefix="x1-pg-"))
    if words:
        os.chown(home, postgres.NOBODY, postgres.NOBODY)
    data, port = home / "data", free_port()
    url = f"postgresql://x1@127.0.0.1:{port}/postgres"

    def is_ready() -> bool:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.Error:
            return False
        return True

    options = ["-c", f"port={port}", "-c", "unix_socket_directories=", "-c", "fsync=off"]
    server = RealProcess(
        argv=[*words, str(postgres.binary("postgres")), "-D", str(data), *options],
        is_ready=is_ready,
        stop_signal=signal.SIGINT,
    )
    initdb = [*words, str(postgres.binary("initdb")), "-D", str(data)]
    try:
        subprocess.run([*initdb, "-U", "x1", "-A", "trust", "-N"], check=True, capture_output=True)
        server.start()
        yield server, url
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: tuple[RealProcess, str]) -> str:
    """A fresh database's SQLAlchemy URL, without tables."""
    server, admin = postgres_server
    assert server.process is not None
    if server.process.poll() is not None:  # a test killed it
        server.start()
    name = f"t{time.monotonic_ns()}"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return admin.replace("postgresql://", "postgresql+psycopg://").replace("/postgres", f"/{name}")


@dataclass(frozen=True)
class RealNats:
    server: RealProcess
    url: str
    keys: Path
    config: Path
    port: int

    def configure(self) -> None:
        """What its next start reads, from the keys that are there."""
        made = natskeys.read(self.keys)
        self.config.write_text(
            json.dumps(
                {
                    "host": "127.0.0.1",
                    "port": self.port,
                    "operator": made.operator_jwt,
                    "resolver": "MEMORY",
                    "resolver_preload": {
                        made.account_id: made.account_jwt,
                        made.system_id: made.system_jwt,
                    },
                    "system_account": made.system_id,
                    "jetstream": {"store_dir": str(self.config.with_name("jetstream"))},
                }
            )
        )


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[RealNats]:
    """In operator mode, JetStream on disk; `keys` holds the account's seed and the relay's .creds."""
    keys, port = tmp_path / "keys", free_port()
    natskeys.generate(keys)

    def is_ready() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False

    binary = Path(sys.executable).parent / "nats-server"
    config = tmp_path / "nats.conf"
    server = RealProcess(argv=[str(binary), "-c", str(config)], is_ready=is_ready)
    url = f"nats://127.0.0.1:{port}"
    nats = RealNats(server=server, url=url, keys=keys, config=config, port=port)
    nats.configure()
    try:
        server.start()
        yield nats
    finally:
        server.stop()
