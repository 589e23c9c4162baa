"""How far a local copy lags behind the log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from isola_store.port import Logged


class WatchLag:
    """Measures, for each append that a copy learns of, how old it was by then.

    What a first list brings is as old as it is and says nothing; so only an object that was known
    with a shorter log counts. Clocks of two machines differ: less than nothing counts as nothing.

    Args:
        clock: Tells the time, UTC.
        observe: Takes the seconds.
    """

    def __init__(self, clock: Callable[[], datetime], observe: Callable[[float], None]) -> None:
        self._clock = clock
        self._observe = observe
        self._versions: dict[str, int] = {}

    def look(self, name: str, item: Logged | None) -> None:
        """Take note of an object as the copy has it now, or of its absence."""
        if item is None:
            self._versions.pop(name, None)
            return
        known = self._versions.get(name)
        newest = item.log.newest
        if newest and known is not None and known < newest.sequence:
            lag = (self._clock() - newest.last_transition_time).total_seconds()
            self._observe(max(lag, 0))
        self._versions[name] = item.log.version
