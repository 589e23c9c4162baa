"""The order to stop."""

from __future__ import annotations

import asyncio
import signal


def ordered_to_stop() -> asyncio.Event:
    """Return an event that SIGTERM or SIGINT sets, instead of ending the process."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
