"""From a change of a sandbox's network on record to the moment in which it is in force.

    NetworkChanged      by a gateway: what is wanted, and who wants it
    NetworkConfigured   by the operator: the policy is written, with a door of this change's own
                        the sidecar gets through the door: the policy engine has taken the policy
                        over; and no replica of the egress component goes by an older list
    NetworkEnforced     by the gateway: so it is in force

Each step follows from the log alone. So a client whose request came to nothing sends it again, and
whichever gateway it meets waits on.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import NoReturn

from isola_gateway.connection import REQUEST_ID_HEADER
from isola_gateway.egress import Replicas
from isola_gateway.lookup import Lookup
from isola_gateway.parameters import LONGEST_SIDECAR_WAIT_SECONDS, LONGEST_WAIT_SECONDS
from isola_gateway.ports import Call, SidecarError
from isola_gateway.proxy import ANSWER_SECONDS, Proxy
from isola_gateway.recording import Recorder
from isola_lifecycle.errors import TransientError
from isola_lifecycle.sandbox.conditions import Reason
from isola_lifecycle.sandbox.fold import State, fold
from isola_lifecycle.sandbox.intents import Asker, confirm_network
from isola_lifecycle.sandbox.network import network_of
from isola_rest.models import Reachable
from isola_rest.problem import ProblemError, unprocessable
from isola_store.port import Sandbox

PATIENCE_SECONDS = LONGEST_WAIT_SECONDS
# Between two questions to replicas that do not answer; one that does waits by itself.
_PAUSE_SECONDS = 0.1


class Enforcement:
    """Waits for changes to be in force, and says so in their logs.

    Args:
        lookup: Finds a sandbox by name.
        recorder: Writes.
        proxy: The way to sidecars.
        replicas: Of the egress component.
        patience_seconds: How long a change may take.
    """

    def __init__(
        self,
        lookup: Lookup,
        recorder: Recorder[Sandbox],
        proxy: Proxy,
        replicas: Replicas,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._lookup = lookup
        self._recorder = recorder
        self._proxy = proxy
        self._replicas = replicas
        self._patience_seconds = patience_seconds

    async def wait(self, sandbox: Sandbox, asker: Asker) -> Sandbox:
        """Return the sandbox once its newest change, if any is under way, is in force.

        Raises:
            ProblemError: 409, another change came in between, or the end; 422, this cluster does
                not grant it; 503, it was not seen in force in time.
        """
        state = fold(sandbox.log)
        if not state.network_pending:
            return sandbox
        change = state.network_change
        try:
            async with asyncio.timeout(self._patience_seconds):
                sandbox = await self._answered(sandbox, change)
                await self._through(sandbox, asker)
                await self._by_name(sandbox)
        except TimeoutError:
            _not_in_force("it was not seen in force within the time of a request")
        after = await self._recorder.record(
            sandbox.name, lambda found: confirm_network(fold(found.log), change, asker)
        )
        _must_go_on(after, fold(after.log), sandbox.uid, change)
        return after

    async def _answered(self, sandbox: Sandbox, change: int) -> Sandbox:
        """Return the sandbox as it is once the operator has carried the change out."""
        uid, state = sandbox.uid, fold(sandbox.log)
        while state.network_asked is not None:
            later = await self._lookup.later(sandbox, self._patience_seconds)
            if later is None:
                raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no sandbox {sandbox.name}")
            sandbox, state = later, fold(later.log)
            _must_go_on(sandbox, state, uid, change)
        for entry in sandbox.log.since(change):
            if entry.reason == Reason.CHANGE_REFUSED:
                raise unprocessable("body.network", entry.message)
        return sandbox

    async def _through(self, sandbox: Sandbox, asker: Asker) -> None:
        """Return once the sandbox gets through the door, where there is one: by each protocol."""
        for address in filter(None, fold(sandbox.log).door_wanted("").split(",")):
            await self._through_to(sandbox, address, asker)

    async def _through_to(self, sandbox: Sandbox, address: str, asker: Asker) -> None:
        host, _, port = address.rpartition(":")
        seconds = LONGEST_SIDECAR_WAIT_SECONDS
        call = Call(
            method="GET",
            path="/v1/network/reachable",
            query={"address": host.strip("[]"), "port": port, "waitSeconds": str(seconds)},
            headers={REQUEST_ID_HEADER: asker.request_id},
            silence_seconds=seconds + ANSWER_SECONDS,
        )
        try:
            content = await self._proxy.ask(sandbox.name, call, Reachable)
        except (SidecarError, ProblemError) as error:
            _not_in_force("the sandbox could not be asked whether it is in force", error)
        if not Reachable.model_validate_json(content).reachable:
            _not_in_force("the sandbox did not see it in force")

    async def _by_name(self, sandbox: Sandbox) -> None:
        """Return once every replica of the egress component goes by the change."""
        promised = network_of(sandbox.spec.get("network"))
        if fold(sandbox.log).network_in_force(promised).domains is None:
            return
        while True:
            with suppress(TransientError):
                if not await self._replicas.lagging(sandbox.uid, sandbox.log.version):
                    return
            await asyncio.sleep(_PAUSE_SECONDS)


def _must_go_on(sandbox: Sandbox, state: State, uid: str, change: int) -> None:
    """Refuse to wait for what will not be.

    Raises:
        ProblemError: 409.
    """
    if sandbox.uid != uid or sandbox.deleting or state.outcome or state.termination_requested:
        raise ProblemError(HTTPStatus.CONFLICT, "The sandbox ended before the change was in force")
    if state.network_change != change:
        message = "Somebody changed the network again before this change was in force"
        raise ProblemError(HTTPStatus.CONFLICT, message)


def _not_in_force(why: str, cause: Exception | None = None) -> NoReturn:
    raise ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"The change is on record and may come into force at any time, but {why}; the same request"
        " waits on, and the history tells what came of it",
        headers={"Retry-After": "1"},
    ) from cause
