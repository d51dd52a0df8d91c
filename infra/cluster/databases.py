"""`python -m infra.cluster.databases`: makes the databases that are missing, before Prefect starts. Repeatable."""

import asyncio
import os
from pathlib import Path

import psycopg
from psycopg import sql
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

PATIENCE_SECONDS = 300.0
DATABASES = ("prefect", "x1")
CREATE = sql.SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0")


@retry(
    retry=retry_if_exception_type(psycopg.OperationalError),
    wait=wait_fixed(1),
    stop=stop_after_delay(PATIENCE_SECONDS),
    reraise=True,
)
async def make_databases(url: str, password: str) -> None:
    """`url` names the server and a user who may create databases."""
    async with await psycopg.AsyncConnection.connect(
        url, password=password, autocommit=True
    ) as connection:
        for name in DATABASES:
            # Compared by the server: one whose own encoding is SQL_ASCII answers in bytes.
            asked = await connection.execute(
                "SELECT pg_encoding_to_char(encoding) = 'UTF8' FROM pg_database WHERE datname = %s",
                (name,),
            )
            found = await asked.fetchone()
            if found is None:
                await connection.execute(CREATE.format(sql.Identifier(name)))
            elif not found[0]:
                raise SystemExit(
                    f"database {name}: expected encoding UTF8, it has another; "
                    f"create it anew: CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0"
                )


if __name__ == "__main__":
    given = Path(os.environ["X1_DATABASE_PASSWORD_FILE"]).read_text().strip()
    asyncio.run(make_databases(os.environ["X1_POSTGRES_URL"], given))
