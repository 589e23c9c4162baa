"""A deadline for whatever is called within a block, in threads and tasks alike.

    with isola.deadline(5):
        sandbox.commands.run("make")

holds for the whole of it, attempts and pauses included; `IsolaTimeoutError` says that it is over.
An inner one can only be earlier. It is a plain `with` for the asynchronous client too.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

_ends_at: ContextVar[float | None] = ContextVar("isola_deadline", default=None)


@contextmanager
def deadline(seconds: float) -> Generator[None]:
    """Let every call within the block be over in `seconds` from now."""
    outer, ends_at = _ends_at.get(), monotonic() + seconds
    token = _ends_at.set(ends_at if outer is None else min(outer, ends_at))
    try:
        yield
    finally:
        _ends_at.reset(token)


def earliest(seconds: float | None) -> float | None:
    """Return when a call that may take `seconds` has to be over, by `time.monotonic`."""
    own = None if seconds is None else monotonic() + seconds
    ends = [each for each in (own, _ends_at.get()) if each is not None]
    return min(ends, default=None)
