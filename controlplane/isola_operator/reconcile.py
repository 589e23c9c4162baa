"""Bring one sandbox as far as it goes at present. All there is to the operator, on one screen.

Commands go first and facts last: a crash in between repeats a command, which is harmless, and
never records what did not happen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from isola_lifecycle.errors import ExpectedVersionError, NotFoundError
from isola_lifecycle.log import Condition
from isola_lifecycle.sandbox.commands import Command
from isola_lifecycle.sandbox.decide import decide
from isola_lifecycle.sandbox.fold import extend, fold
from isola_lifecycle.sandbox.observation import Observation
from isola_lifecycle.sandbox.state import State
from isola_store.port import Sandbox, SandboxStore

# A life has some ten steps. More than that at one go is a fault of ours; let others have a turn.
STEPS_AT_ONCE = 20

# What a command makes true may call for the next one. No more than some three in a row do.
ROUNDS = 8


class World(Protocol):
    """What the reconciler needs of the cluster."""

    def recall(self, name: str) -> Sandbox | None:
        """Return the Sandbox from the local copy, which may be stale, or None."""
        ...

    async def observe(self, sandbox: Sandbox, state: State, *, now: datetime) -> Observation:
        """Return what is seen of its world, without judging it."""
        ...

    async def perform(self, sandbox: Sandbox, command: Command, seen: Observation) -> Observation:
        """Carry out a command and return what is seen after it."""
        ...


@dataclass(frozen=True, slots=True)
class Reconciler:
    """The operator's work on one sandbox at a time.

    Args:
        store: Where the logs are.
        world: The cluster.
        clock: Gives the time of observations and entries, UTC.
        recorded: Told of every entry that was appended, for metrics and logs.
    """

    store: SandboxStore
    world: World
    clock: Callable[[], datetime]
    recorded: Callable[[Sandbox, tuple[Condition, ...]], None] = lambda _s, _e: None

    async def reconcile(self, name: str) -> timedelta | None:
        """Bring sandbox `name` on until nothing follows; return when to look again.

        Raises:
            TransientError: The world is in the way: back off and call again.
        """
        sandbox = self.world.recall(name)
        for _ in range(STEPS_AT_ONCE):
            if sandbox is None:
                return None
            try:
                sandbox, requeue_after = await self._step(sandbox)
            except ExpectedVersionError:
                # The copy was stale, or another writer came first. What counts is what is there.
                sandbox = await self._read(name)
            except NotFoundError:
                return None
            else:
                if sandbox is None:
                    return requeue_after
        return timedelta()

    async def _step(self, sandbox: Sandbox) -> tuple[Sandbox | None, timedelta | None]:
        state = fold(sandbox.log)
        now = self.clock()
        seen = await self.world.observe(sandbox, state, now=now)
        decision = decide(state, seen, room=sandbox.log.room)
        for _ in range(ROUNDS):
            if not decision.commands:
                break
            for command in decision.commands:
                seen = await self.world.perform(sandbox, command, seen)
            decision = decide(state, seen, room=sandbox.log.room)
        if not decision.facts:
            return None, decision.requeue_after
        entries = extend(sandbox.log, decision.facts, at=now, generation=sandbox.generation)
        version = sandbox.log.version
        after = await self.store.append(
            sandbox.name, entries, expected_version=version, moved=seen.moved
        )
        self.recorded(after, entries)
        return after, None

    async def _read(self, name: str) -> Sandbox | None:
        try:
            return await self.store.read(name)
        except NotFoundError:
            return None
