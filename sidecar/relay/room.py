"""Room on the disk: with too little of it no new work begins, and what runs goes on.

A disk that is full stops database and bus in the middle of something; a session that waits loses nothing.
"""

import shutil

from sidecar.domain.errors import DiskFull
from sidecar.settings import RelaySettings


def require_room(settings: RelaySettings) -> None:
    """Raises DiskFull."""
    if settings.watched_disk is None:
        return
    free = shutil.disk_usage(settings.watched_disk).free
    if free < settings.least_free_bytes:
        raise DiskFull(
            f"the disk is nearly full: {free >> 20:,} MiB free, new work needs "
            f"{settings.least_free_bytes >> 20:,}; it begins when there is room again"
        )
