"""Bring one object as far as it goes at present. All there is to the operator, on one screen.

Commands go first and facts last: a crash in between repeats a command, which is harmless, and
never records what did not happen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, NamedTuple, Protocol, TypeVar

from isola_lifecycle.commands import Decision
from isola_lifecycle.errors import ExpectedVersionError, NotFoundError
from isola_lifecycle.log import Condition
from isola_lifecycle.projection import Projection
from isola_lifecycle.seen import Seen
from isola_store.port import Logged, Store

T = TypeVar("T", bound=Logged)
W = TypeVar("W", bound=Seen)
C = TypeVar("C")
C_contra = TypeVar("C_contra", contravariant=True)
C_co = TypeVar("C_co", covariant=True)
S = TypeVar("S", bound=NamedTuple)
S_contra = TypeVar("S_contra", contravariant=True)
W_contra = TypeVar("W_contra", contravariant=True)

# A life has some ten steps. More than that at one go is a fault of ours; let others have a turn.
STEPS_AT_ONCE = 20

# What a command makes true may call for the next one. No more than some three in a row do.
ROUNDS = 8


class World(Protocol[T, S_contra, W, C_contra]):
    """What the reconciler needs of the cluster."""

    def recall(self, name: str, /) -> T | None:
        """Return the object from the local copy, which may be stale, or None."""
        ...

    async def observe(self, item: T, state: S_contra, /, *, now: datetime) -> W:
        """Return what is seen of its world, without judging it."""
        ...

    async def perform(self, item: T, command: C_contra, seen: W, /) -> W:
        """Carry out a command and return what is seen after it."""
        ...


class Policy(Protocol[S_contra, W_contra, C_co]):
    """What follows from a state and what is seen."""

    def __call__(self, state: S_contra, seen: W_contra, *, room: int) -> Decision[C_co]:
        """Return what follows, where the log has `room` for so many more entries."""
        ...


def _unheard(_: Logged, __: tuple[Condition, ...]) -> None:
    """Take no note."""


@dataclass(frozen=True, slots=True)
class Reconciler(Generic[T, S, W, C]):
    """The operator's work on one object at a time.

    Args:
        store: Where the logs are.
        world: The cluster.
        projection: What a log amounts to.
        decide: What follows from that.
        clock: Gives the time of observations and entries, UTC.
        recorded: Told of every entry that was appended, for metrics and logs.
    """

    store: Store[T]
    world: World[T, S, W, C]
    projection: Projection[S]
    decide: Policy[S, W, C]
    clock: Callable[[], datetime]
    recorded: Callable[[T, tuple[Condition, ...]], None] = _unheard

    async def reconcile(self, name: str) -> timedelta | None:
        """Bring object `name` on until nothing follows; return when to look again.

        Raises:
            TransientError: The world is in the way: back off and call again.
        """
        item = self.world.recall(name)
        for _ in range(STEPS_AT_ONCE):
            if item is None:
                return None
            try:
                item, requeue_after = await self._step(item)
            except ExpectedVersionError:
                # The copy was stale, or another writer came first. What counts is what is there.
                item = await self._read(name)
            except NotFoundError:
                return None
            else:
                if item is None:
                    return requeue_after
        return timedelta()

    async def _step(self, item: T) -> tuple[T | None, timedelta | None]:
        state = self.projection.fold(item.log)
        now = self.clock()
        seen = await self.world.observe(item, state, now=now)
        decision = self.decide(state, seen, room=item.log.room)
        for _ in range(ROUNDS):
            if not decision.commands:
                break
            for command in decision.commands:
                seen = await self.world.perform(item, command, seen)
            decision = self.decide(state, seen, room=item.log.room)
        if not decision.facts:
            return None, decision.requeue_after
        log, generation = item.log, item.generation
        entries = self.projection.extend(log, decision.facts, at=now, generation=generation)
        after = await self.store.append(
            item.name, entries, expected_version=log.version, moved=seen.moved
        )
        self.recorded(after, entries)
        return after, None

    async def _read(self, name: str) -> T | None:
        try:
            return await self.store.read(name)
        except NotFoundError:
            return None
