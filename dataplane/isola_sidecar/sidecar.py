"""What the routes share: the commands, and how many streams are open."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from . import limits
from .problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Generator

    from .commands import Commands


class Streams:
    """Counts what may stay open for ever: output streams, terminals, watches."""

    def __init__(self) -> None:
        self._open = 0

    @contextmanager
    def one_more(self) -> Generator[None]:
        """Count one for as long as the context lasts.

        Raises:
            ProblemError: 429 when too many are open.
        """
        if self._open >= limits.STREAMS:
            raise ProblemError(
                429,
                f"{limits.STREAMS} streams, terminals and watches of this sandbox are open "
                "already: close some",
                headers=(("Retry-After", "5"),),
            )
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1


class Sidecar(NamedTuple):
    """The parts that a route needs."""

    commands: Commands
    streams: Streams
