"""A runtime's allowance of updates: plenty for any real one, bounded for one that floods."""

import asyncio
from typing import Final

RATE: Final = 2000.0
"""Updates a second; the chattiest CLI measured stays under 200."""
BURST: Final = 20_000.0


class Quota:
    def __init__(self, rate: float = RATE, burst: float = BURST) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at = 0.0

    async def take(self) -> int:
        """Waits when the allowance is used up; how often it had to."""
        now = asyncio.get_running_loop().time()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        self._left -= 1
        if self._left >= 0:
            return 0
        await asyncio.sleep(-self._left / self._rate)
        return 1
