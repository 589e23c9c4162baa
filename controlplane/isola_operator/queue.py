"""Names that somebody should look at.

Rules of this file
    - A name is all there is: what happened to it is read when its turn comes.
    - A name waits once, however often it was added, and is worked on by one worker at a time;
      added meanwhile, it comes again when that worker is done.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from tenacity import RetryCallState, Retrying, wait_random_exponential


class WorkQueue:
    """A queue keyed by name, with delays and back-off."""

    def __init__(self) -> None:
        self._waiting: dict[str, float] = {}  # since when
        self._working: set[str] = set()
        self._again: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._failures: dict[str, int] = {}
        self._arrival = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def age_seconds(self) -> float:
        """Return how long the name that is next has waited, 0 where none does."""
        first = next(iter(self._waiting.values()), None)
        return 0 if first is None else time.monotonic() - first

    def add(self, name: str) -> None:
        """Have a worker look at `name` soon."""
        if name in self._working:
            self._again.add(name)
            return
        self._waiting.setdefault(name, time.monotonic())
        self._arrival.set()

    def add_after(self, name: str, delay_seconds: float) -> None:
        """Have a worker look at `name` after a delay; the nearest of several delays holds."""
        loop = asyncio.get_running_loop()
        due = loop.time() + delay_seconds
        timer = self._timers.get(name)
        if timer and timer.when() <= due and not timer.cancelled():
            return
        if timer:
            timer.cancel()
        self._timers[name] = loop.call_at(due, self._due, name)

    async def get(self) -> str:
        """Return the name that has waited longest, and keep it from other workers until `done`."""
        while not self._waiting:
            self._arrival.clear()
            await self._arrival.wait()
        name = next(iter(self._waiting))
        del self._waiting[name]
        self._working.add(name)
        return name

    def done(self, name: str) -> None:
        """Give up the name that `get` returned."""
        self._working.discard(name)
        if name in self._again:
            self._again.discard(name)
            self.add(name)

    def succeeded(self, name: str) -> None:
        """Forget earlier failures with `name`."""
        self._failures.pop(name, None)

    def retry(self, name: str) -> float:
        """Have a worker look again after a failure, later each time; return after how long."""
        self._failures[name] = self._failures.get(name, 0) + 1
        delay = _backoff_seconds(self._failures[name])
        self.add_after(name, delay)
        return delay

    def close(self) -> None:
        """Drop every delay, so that nothing fires into a loop that ends."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _due(self, name: str) -> None:
        self._timers.pop(name, None)
        self.add(name)


# Full jitter, as `exponential backoff and jitter` of the AWS architecture blog has it.
_BACKOFF: Callable[[RetryCallState], float] = wait_random_exponential(multiplier=0.1, max=30)


def _backoff_seconds(failures: int) -> float:
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = failures
    return _BACKOFF(state)
