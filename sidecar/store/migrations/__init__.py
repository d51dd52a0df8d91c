"""Schema migrations, run by the relay at its start. Two relays may start together: one waits for the other.

A migration only adds: while an upgrade rolls, and after one that is taken back, an older relay serves on the newer
ledger. What it does not need any more goes with the version after.
"""

from pathlib import Path

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

log = structlog.stdlib.get_logger(__name__)

LOCK = 7_101_001
"""The advisory lock's number: any constant of our own."""


async def migrate(url: str | URL, revision: str = "head") -> None:
    """Brings the schema to the newest revision, or to the one that an older version knew. Repeatable.

    A ledger that a newer version has brought further is left as it is.
    """
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            await connection.run_sync(_upgrade, revision)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    known = {each.revision for each in ScriptDirectory.from_config(config).walk_revisions()}
    current = MigrationContext.configure(connection).get_current_revision()
    if current is None or current in known:
        command.upgrade(config, revision)
    else:
        log.warning("the ledger is a newer version's", its_revision=current, known=max(known))
