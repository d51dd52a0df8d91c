"""Holds a stack between two of its steps for as long as a test needs, by means of its real PostgreSQL.

A gate in front of a row's change stops whoever makes it after everything that comes before it: the forge has
merged and nothing is recorded, a turn has ended and has no receipt. Held commits stop them after the change is
on disk and before anybody hears of it: the row is there for good, and its bell is not rung.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
from watched import AWAY, Watched

GATE = 8601
HELD = "synchronous_standby_names = 'nobody'\n"
"""Commits then wait for a replica that does not exist, their own record written."""
TABLES = {
    "wakes": ("receipt", "done", "session_id"),
    "sessions": ("status", "parked", "id"),
    "merges": ("state", "done", "session_id"),
}
"""Which change has a gate: (column, its new value, the column that names the session)."""
PROBE = "gates: is a commit held?"
OWN_IS_HELD = (
    "SELECT count(*) FROM pg_stat_activity"
    f" WHERE wait_event = 'SyncRep' AND application_name = '{PROBE}'"
)
FREE = "SELECT count(*) FROM pg_settings WHERE name = 'synchronous_standby_names' AND setting = ''"
KEY = "hashtext(%s || ' ' || %s)"


class Gates:
    def __init__(self, stack: Watched) -> None:
        self._stack = stack
        self._settings = stack.state_dir / "postgres" / "data" / "postgresql.auto.conf"

    def install(self) -> None:
        with self._connection() as connection:
            connection.execute(
                "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " PERFORM pg_advisory_xact_lock_shared("
                f" {GATE}, hashtext(TG_TABLE_NAME || ' ' || (to_jsonb(NEW) ->> TG_ARGV[0])));"
                " RETURN NEW; END $$"
            )
            for table, (column, value, owner) in TABLES.items():
                connection.execute(
                    f"CREATE TRIGGER gate BEFORE UPDATE ON {table} FOR EACH ROW"
                    f" WHEN (NEW.{column} = '{value}' AND OLD.{column} IS DISTINCT FROM '{value}')"
                    f" EXECUTE FUNCTION gate('{owner}')"
                )

    @contextlib.contextmanager
    def closed(self, *places: tuple[str, str]) -> Iterator[None]:
        """Each place is (table, session id). They open again when this ends, or when PostgreSQL dies."""
        with contextlib.suppress(psycopg.OperationalError), self._connection() as connection:
            for place in places:
                connection.execute(f"SELECT pg_advisory_lock({GATE}, {KEY})", place)
            yield

    def is_reached(self, table: str, session_id: str) -> bool:
        waiting = (
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            f" AND classid = {GATE} AND objid::bigint = {KEY}::bigint & 4294967295"
        )
        return self._one(waiting, (table, session_id)) > 0

    @contextlib.contextmanager
    def commits_held(self) -> Iterator[None]:
        """They are held from the first line inside on: a commit of this one's own is, before anybody else's."""
        before = self._settings.read_text()
        self._settings.write_text(before + HELD)
        self._read_settings_again()
        committing = threading.Thread(target=self._commit_until_held)
        committing.start()
        try:
            until(lambda: self._one(OWN_IS_HELD) > 0, "a held commit")
            yield
        finally:
            self._settings.write_text(before)
            self._read_settings_again()
            committing.join()

    def await_free(self) -> None:
        """Commits are held no more, whatever became of PostgreSQL meanwhile."""
        until(self._are_free, "commits that are held no more")

    def is_committing(self, table: str) -> bool:
        held = (
            "SELECT count(*) FROM pg_stat_activity JOIN pg_locks USING (pid)"
            " WHERE wait_event = 'SyncRep' AND relation = %s::regclass AND mode = 'RowExclusiveLock'"
        )
        return self._one(held, (table,)) > 0

    def _are_free(self) -> bool:
        """Told each time: one that was being started may have read the settings before they were written."""
        self._read_settings_again()
        return self._one(FREE) > 0

    def _commit_until_held(self) -> None:
        """PostgreSQL tells nobody when it has taken its new settings: what does not return tells it."""
        with contextlib.suppress(psycopg.OperationalError), self._connection(PROBE) as connection:
            while HELD in self._settings.read_text():
                connection.execute("SELECT pg_logical_emit_message(true, 'gate', '')")

    def _read_settings_again(self) -> None:
        """A postmaster that is being killed reads them when it starts."""
        pid_file = self._settings.with_name("postmaster.pid")
        with contextlib.suppress(OSError, ValueError, IndexError):
            os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGHUP)

    def _one(self, statement: str, values: tuple[Any, ...] = ()) -> int:
        with self._connection() as connection:
            row = connection.execute(statement, values).fetchone()
        return row[0] if row else 0

    def _connection(self, name: str = "gates") -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self._stack.ports()["postgres"],
            user="x1",
            dbname="x1",
            password=self._stack.secret("postgres-password"),
            application_name=name,
            autocommit=True,
        )


def until(condition: Any, what: str, seconds: float = 180) -> Any:
    """What `condition` returns once it is something; what it raises while parts are away is waited out."""
    deadline = time.monotonic() + seconds
    while True:
        found, trouble = None, ""
        try:
            found = condition()
        except (*AWAY, AssertionError, psycopg.Error) as error:
            trouble = f": {error}"
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not come about within {seconds} s{trouble}"
        time.sleep(0.05)
