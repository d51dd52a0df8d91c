"""Versions of the relay beside one ledger: an upgrade rolls, and may be taken back."""

import psycopg
import pytest
from sqlalchemy import make_url

from sidecar.store.migrations import migrate

pytestmark = pytest.mark.real


async def test_a_ledger_that_a_newer_version_brought_further_is_left_as_it_is(postgres_url: str):
    await migrate(postgres_url)
    plain = make_url(postgres_url).set(drivername="postgresql")
    address = plain.render_as_string(hide_password=False)
    async with await psycopg.AsyncConnection.connect(address, autocommit=True) as connection:
        await connection.execute("UPDATE alembic_version SET version_num = '9999'")
        await migrate(postgres_url)
        found = await connection.execute("SELECT version_num FROM alembic_version")
        assert await found.fetchone() == ("9999",)
