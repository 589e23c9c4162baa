"""Which object is meant, and where a sandbox can be reached.

Answers come from the copy that a watch keeps, which is a little late. So before the gateway says
no - not there, not running - it asks the API server once: a sandbox that was just created is
found, and one that just became ready on another replica's watch takes commands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Generic

from isola_gateway.kinds import SANDBOXES, Kind
from isola_gateway.ports import Sidecar, View, Writer
from isola_lifecycle.errors import NotFoundError, TransientError
from isola_lifecycle.sandbox.conditions import Phase
from isola_lifecycle.sandbox.fold import State, fold
from isola_rest.problem import ProblemError
from isola_store.port import Sandbox, T

# How long a write waits until reads show it. A watch takes milliseconds; this is for bad days.
CATCH_UP_SECONDS = 0.5


class Finder(Generic[T]):
    """Objects of one kind by name.

    Args:
        kind: Which kind.
        view: The copy.
        store: The truth.
    """

    def __init__(self, kind: Kind[T], view: View[T], store: Writer[T]) -> None:
        self.kind = kind
        self._view = view
        self._store = store

    async def find(self, name: str) -> T:
        """Return the object of that name.

        Raises:
            ProblemError: 404, there is none.
        """
        return self._view.get(name) or await self.live(name)

    async def settled(self, item: T, seconds: float) -> T:
        """Return the object once there is nothing more to wait for, it goes, or time is over.

        Args:
            item: As it was just read or written; the copy may be behind it, or ahead.
            seconds: The time.
        """
        seen = False
        try:
            async with asyncio.timeout(seconds):
                while not self.kind.settled(item):
                    copy = self._view.get(item.name)
                    if copy and copy.uid == item.uid:
                        seen = True
                        if copy.log.version > item.log.version:
                            item = copy
                            continue
                    elif seen:
                        break
                    await self._view.changed(item.name, seconds)
        except TimeoutError:
            pass
        return item

    async def later(self, item: T, seconds: float) -> T | None:
        """Return the object once its log is longer, the very one given when time is over.

        Returns:
            None when it is gone. It may be, although its name is there again.
        """
        for waited in (False, True):
            if waited:
                await self._view.changed(item.name, seconds)
            now = await self._now(item)
            if now is None or now.log.version > item.log.version:
                return now
        return item

    async def _now(self, item: T) -> T | None:
        copy = self._view.get(item.name)
        if copy and copy.uid == item.uid:
            return copy
        try:
            live = await self._store.read(item.name)
        except NotFoundError:
            return None
        except TransientError:
            return item
        if live.uid != item.uid:
            return None
        # The copy may have come to know it while the API server was asked.
        copy = self._view.get(item.name)
        return copy if copy and copy.uid == item.uid else live

    async def caught_up(self, name: str, version: int) -> None:
        """Return when reads show the log of that name at `version`, or it takes too long."""
        await self._shown(name, lambda copy: copy is None or copy.log.version >= version)

    async def appeared(self, name: str) -> None:
        """Return when reads show an object of that name, or it takes too long."""
        await self._shown(name, lambda copy: copy is not None)

    async def _shown(self, name: str, enough: Callable[[T | None], bool]) -> None:
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                while not enough(self._view.get(name)):
                    await self._view.changed(name, CATCH_UP_SECONDS)
        except TimeoutError:
            return

    async def live(self, name: str) -> T:
        """Return the object of that name as the API server has it now.

        Raises:
            ProblemError: 404, there is none.
        """
        try:
            return await self._store.read(name)
        except NotFoundError as error:
            message = f"There is no {self.kind.noun} {name}"
            raise ProblemError(HTTPStatus.NOT_FOUND, message) from error


class Lookup(Finder[Sandbox]):
    """Sandboxes by name.

    Args:
        view: The copy.
        store: The truth.
    """

    def __init__(self, view: View[Sandbox], store: Writer[Sandbox]) -> None:
        super().__init__(SANDBOXES, view, store)

    async def sidecar(self, name: str) -> Sidecar:
        """Return where the sidecar of the running sandbox of that name is.

        Raises:
            ProblemError: 404, there is none; 409, it does not run.
        """
        copy = self._view.get(name)
        if copy and (sidecar := _sidecar(fold(copy.log))):
            return sidecar
        sandbox = await self.live(name)
        if sidecar := _sidecar(fold(sandbox.log)):
            return sidecar
        raise ProblemError(HTTPStatus.CONFLICT, _why_not(sandbox))


def _sidecar(state: State) -> Sidecar | None:
    if state.phase is not Phase.RUNNING or not state.pod_ip:
        return None
    return Sidecar(state.pod_ip, state.sidecar_certificate)


def _why_not(sandbox: Sandbox) -> str:
    state = fold(sandbox.log)
    told = state.outcome or sandbox.log.newest
    why = f" ({told.reason}: {told.message})" if told else ""
    return f"Sandbox {sandbox.name} takes no commands: it is {state.phase}{why}"
