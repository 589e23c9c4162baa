"""Something happened: for whoever waits for that, and would look again."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Changes:
    """What wakes up everybody who waits."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def happened(self) -> None:
        """Wake up everybody who waits now."""
        self._event.set()
        self._event = asyncio.Event()

    async def next(self, timeout_seconds: float) -> None:
        """Return when something happens next, or the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._event.wait()
