"""Which sandbox is meant, and where it can be reached.

Answers come from the copy that a watch keeps, which is a little late. So before the gateway says
no - not there, not running - it asks the API server once: a sandbox that was just created is
found, and one that just became ready on another replica's watch takes commands.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from isola_gateway.ports import SandboxView, SandboxWriter, Sidecar
from isola_lifecycle.errors import NotFoundError, TransientError
from isola_lifecycle.sandbox.conditions import Phase
from isola_lifecycle.sandbox.fold import State, fold
from isola_rest.problem import ProblemError
from isola_store.port import Sandbox

# How long a write waits until reads show it. A watch takes milliseconds; this is for bad days.
CATCH_UP_SECONDS = 0.5


class Lookup:
    """Sandboxes by name.

    Args:
        view: The copy.
        store: The truth.
    """

    def __init__(self, view: SandboxView, store: SandboxWriter) -> None:
        self._view = view
        self._store = store

    async def find(self, name: str) -> Sandbox:
        """Return the sandbox of that name.

        Raises:
            ProblemError: 404, there is none.
        """
        return self._view.get(name) or await self.live(name)

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

    async def started(self, sandbox: Sandbox, seconds: float) -> Sandbox:
        """Return the sandbox once it starts, has trouble starting or goes, or time is over.

        Args:
            sandbox: As it was just read or written; the copy may be behind it, or ahead.
            seconds: The time.
        """
        seen = False
        try:
            async with asyncio.timeout(seconds):
                while _is_starting(fold(sandbox.log)):
                    copy = self._view.get(sandbox.name)
                    if copy and copy.uid == sandbox.uid:
                        seen = True
                        if copy.log.version > sandbox.log.version:
                            sandbox = copy
                            continue
                    elif seen:
                        break
                    await self._view.changed(sandbox.name, seconds)
        except TimeoutError:
            pass
        return sandbox

    async def later(self, sandbox: Sandbox, seconds: float) -> Sandbox | None:
        """Return the sandbox once its log is longer, the very one given when time is over.

        Returns:
            None when it is gone. It may be, although its name is there again.
        """
        for waited in (False, True):
            if waited:
                await self._view.changed(sandbox.name, seconds)
            now = await self._now(sandbox)
            if now is None or now.log.version > sandbox.log.version:
                return now
        return sandbox

    async def _now(self, sandbox: Sandbox) -> Sandbox | None:
        copy = self._view.get(sandbox.name)
        if copy and copy.uid == sandbox.uid:
            return copy
        try:
            live = await self._store.read(sandbox.name)
        except NotFoundError:
            return None
        except TransientError:
            return sandbox
        if live.uid != sandbox.uid:
            return None
        # The copy may have come to know it while the API server was asked.
        copy = self._view.get(sandbox.name)
        return copy if copy and copy.uid == sandbox.uid else live

    async def caught_up(self, name: str, version: int) -> None:
        """Return when reads show the log of that name at `version`, or it takes too long."""
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                while (copy := self._view.get(name)) and copy.log.version < version:
                    await self._view.changed(name, CATCH_UP_SECONDS)
        except TimeoutError:
            return

    async def live(self, name: str) -> Sandbox:
        """Return the sandbox of that name as the API server has it now.

        Raises:
            ProblemError: 404, there is none.
        """
        try:
            return await self._store.read(name)
        except NotFoundError as error:
            raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no sandbox {name}") from error


def _is_starting(state: State) -> bool:
    return state.phase is Phase.PENDING and state.trouble is None


def _sidecar(state: State) -> Sidecar | None:
    if state.phase is not Phase.RUNNING or not state.pod_ip:
        return None
    return Sidecar(state.pod_ip, state.sidecar_certificate)


def _why_not(sandbox: Sandbox) -> str:
    state = fold(sandbox.log)
    told = state.outcome or sandbox.log.newest
    why = f" ({told.reason}: {told.message})" if told else ""
    return f"Sandbox {sandbox.name} takes no commands: it is {state.phase}{why}"
