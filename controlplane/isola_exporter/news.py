"""When it is worth a delivery: what is new waits a moment for what follows it.

A life is some nine entries in six writes, most of them in its first second. A delivery is two
requests whatever is in them, and they are most of what the exporter costs.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

GATHERING = timedelta(seconds=1)

# How long to wait for news before one looks all the same: for gaps that were waited for long
# enough.
LOOKING = timedelta(seconds=5)


class News:
    """Says when there may be something to deliver.

    Args:
        gathering: How long what is new waits for what follows it.
    """

    def __init__(self, gathering: timedelta = GATHERING) -> None:
        self._gathering = gathering
        self._told = asyncio.Event()
        self._hurried = asyncio.Event()

    @property
    def hurried(self) -> bool:
        """Return whether nothing is to wait any more."""
        return self._hurried.is_set()

    def tell(self) -> None:
        """Say that there is something new."""
        self._told.set()

    def hurry(self) -> None:
        """Have nothing wait from now on."""
        self._hurried.set()
        self._told.set()

    def forget(self) -> None:
        """Take what was told as known; to be called before one looks for it."""
        self._told.clear()

    async def gathered(self) -> None:
        """Return when there may be enough, when it is time to look all the same, or in a hurry."""
        if not self.hurried and await _within(LOOKING, self._told):
            await _within(self._gathering, self._hurried)


async def _within(time: timedelta, event: asyncio.Event) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(time.total_seconds()):
            return await event.wait()
    return False
