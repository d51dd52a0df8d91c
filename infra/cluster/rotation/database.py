"""The database's password, where the database is ours: changed in it, then for those who log in.

Connections that are open stay; who opens one in between is refused for some seconds, and comes again.
"""

from typing import Final

from infra.cluster.rotation.ground import Ground
from infra.cluster.secrets import SYSTEM
from infra.local.secrets import new_token

NAME: Final = "postgres-password"
NEXT: Final = "postgres-password-next"
PSQL: Final = "psql -q -v ON_ERROR_STOP=1 -U x1 -d postgres"
"""Over the socket, wherever this build of PostgreSQL has it: no password is asked for there."""

SILENT: Final = "SET log_min_error_statement = panic"
"""A statement that fails would stand in the database's log, with the password."""


def rotate(ground: Ground) -> None:
    """The new password is in the whole before the database knows it: an interruption loses nothing."""
    new = ground.whole.get(NEXT) or new_token() + "\n"
    ground.put({NEXT: new})
    ground.kubectl.must(
        *("exec", "-i", "-n", SYSTEM, "statefulset/postgres", "--", *PSQL.split()),
        given=f"{SILENT};\nALTER ROLE x1 PASSWORD '{new.strip()}';\n",
    )
    ground.put({NAME: new, NEXT: None})
    ground.restart("relay", "prefect")
