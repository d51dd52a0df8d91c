"""Prefect's server on PostgreSQL: password on, nothing leaves the machine, pages at the same port.

The application is served directly: `prefect server start` imports a command line first, and its port
does not reach the UI anyway. Migrations run when Prefect's version is new to this state directory.
"""

import sys
from importlib.metadata import version

from infra.local import probes, secrets
from infra.local.component import Component
from infra.local.components import postgres
from infra.local.files import write_whole
from infra.local.ports import HOST
from infra.local.stack import Stack


def component(stack: Stack) -> Component:
    migrated = stack.state.part("prefect") / "migrated"
    is_migrated = migrated.exists() and migrated.read_text() == version("prefect")

    async def settle() -> None:
        write_whole(migrated, version("prefect"))

    return Component(
        name="prefect",
        argv=(
            *(sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"),
            *("--host", HOST, "--port", str(stack.ports["prefect"])),
            *("--log-level", "warning", "--timeout-graceful-shutdown", "2"),
        ),
        directory=stack.state.part("prefect"),
        environment=_environment(stack, is_migrated=is_migrated),
        after=("postgres",),
        is_ready=probes.http(stack.ports["prefect"], "/api/ready"),
        settle=settle,
        url=stack.urls["prefect"],
        start_seconds=180,
    )


def _environment(stack: Stack, *, is_migrated: bool) -> dict[str, str]:
    first_time = "false" if is_migrated else "true"
    leases = "prefect.server.concurrency.lease_storage.filesystem"
    return {
        **common(stack),
        **postgres.password_file(stack),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": postgres.url(stack, "asyncpg", "prefect"),
        "PREFECT_SERVER_DATABASE_MIGRATE_ON_START": first_time,
        "PREFECT_API_BLOCKS_REGISTER_ON_START": first_time,
        "PREFECT_SERVER_API_AUTH_STRING": secrets.read(stack.state, "prefect-auth"),
        "PREFECT_SERVER_ENCRYPTION_KEY": secrets.read(stack.state, "prefect-encryption-key"),
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(stack.ports["prefect"]),
        "PREFECT_SERVER_UI_API_URL": "/api",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # its pages ask Amplitude at each load, whatever is set
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": leases,
    }


def common(stack: Stack) -> dict[str, str]:
    """What every Prefect process gets, server and client."""
    return {
        "PREFECT_HOME": str(stack.state.part("prefect")),
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "INFO",
        "PREFECT_CLI_COLORS": "false",
    }


def client(stack: Stack) -> dict[str, str]:
    """What a client of this server gets: workers, flow runs and registration."""
    return {
        **common(stack),
        "PREFECT_API_URL": stack.prefect_api_url,
        "PREFECT_API_AUTH_STRING": secrets.read(stack.state, "prefect-auth"),
    }
