"""The snapshots that the termination policy of a sandbox wants, one for each container.

They belong to nobody: a history of its own, which outlives the sandbox. Which ones are ours is told
by their specification, which nobody can change: this sandbox's UID, and why they are taken. One
that an earlier sandbox of the same name left behind makes room; one of anybody else's does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from isola_lifecycle import naming
from isola_lifecycle.durations import span
from isola_lifecycle.errors import AlreadyExistsError, NotFoundError, RejectedError
from isola_lifecycle.log import Condition
from isola_lifecycle.sandbox.conditions import Type
from isola_lifecycle.sandbox.observation import Keepsake, Observation
from isola_lifecycle.seen import Refusal
from isola_lifecycle.snapshot.fold import fold
from isola_store.port import Draft, Sandbox, Snapshot, SnapshotStore
from isola_store.reflector import Reflector

Json = Mapping[str, Any]

DEFAULT_SECONDS = 300
TRIGGER = "TerminationPolicy"
FORBIDDEN = 403


def patience(spec: Json) -> timedelta | None:
    """Return how long a termination waits for its snapshots; None: it wants none."""
    policy: Json = spec.get("terminationPolicy") or {}
    if policy.get("type") != "SnapshotRootfs":
        return None
    wanted: Json = policy.get("snapshotRootfs") or {}
    return span(wanted.get("timeoutSeconds", DEFAULT_SECONDS))


@dataclass(frozen=True, slots=True)
class Keepsakes:
    """What is seen of these snapshots, and how they are called for.

    Args:
        store: Where snapshots are.
        snapshots: Local copy of them.
        enabled: Whether this installation takes any.
    """

    store: SnapshotStore
    snapshots: Reflector[Snapshot]
    enabled: bool

    async def observe(self, sandbox: Sandbox) -> tuple[Keepsake, ...]:
        """Return the snapshots that a sandbox's policy wants, as they are."""
        if patience(sandbox.spec) is None:
            return ()
        return tuple([await self._one(sandbox, name) for name in _containers(sandbox)])

    async def request(self, sandbox: Sandbox, container: str, seen: Observation) -> Observation:
        """Make sure that the snapshot of a container is being taken."""
        draft = _draft(sandbox, container)
        try:
            await self.store.create(draft)
        except AlreadyExistsError:
            return await self._make_room(sandbox, container, draft.name, seen)
        except RejectedError as error:
            if error.code == FORBIDDEN:  # a quota or an admission policy may think again
                return replace(seen, refusal=Refusal(final=False, message=str(error)))
            return _with(seen, container, obstacle=str(error))
        return _with(seen, container, there=True)

    async def _make_room(
        self, sandbox: Sandbox, container: str, name: str, seen: Observation
    ) -> Observation:
        found = await self._read(name)
        if found and _is_ours(found, sandbox):
            return _with(seen, container, there=True)
        if found and (found.spec.get("trigger") != TRIGGER or not fold(found.log).outcome):
            message = f"another RootfsSnapshot has the name {name}, and is not taken over"
            return _with(seen, container, obstacle=message)
        if found:
            await self.store.delete(name, uid=found.uid)
        message = f"the RootfsSnapshot {name} of an earlier sandbox is being removed"
        return replace(seen, refusal=Refusal(final=False, message=message))

    async def _one(self, sandbox: Sandbox, container: str) -> Keepsake:
        name = _draft(sandbox, container).name
        found = self.snapshots.get(name) or await self._read(name)
        if found is None or not _is_ours(found, sandbox):
            return Keepsake(container=container, name=name)
        outcome = fold(found.log).outcome
        return Keepsake(
            container=container,
            name=name,
            there=True,
            succeeded=outcome.succeeded if outcome else None,
            message=f"{outcome.reason}: {outcome.message}" if outcome else "",
        )

    async def _read(self, name: str) -> Snapshot | None:
        try:
            return await self.store.read(name)
        except NotFoundError:
            return None


def _containers(sandbox: Sandbox) -> list[str]:
    return [each["name"] for each in sandbox.spec["podTemplate"]["spec"]["containers"]]


def _is_ours(snapshot: Snapshot, sandbox: Sandbox) -> bool:
    spec = snapshot.spec
    return spec.get("sandboxUID") == sandbox.uid and spec.get("trigger") == TRIGGER


def _draft(sandbox: Sandbox, container: str) -> Draft:
    policy: Json = sandbox.spec["terminationPolicy"].get("snapshotRootfs") or {}
    several = len(_containers(sandbox)) > 1
    stored_as: str = policy.get("snapshotName") or sandbox.name
    asked = next((e for e in sandbox.log if e.type == Type.TERMINATION_REQUESTED), None)
    return Draft(
        name=naming.keepsake_name(sandbox.name, container if several else ""),
        spec={
            "sandboxName": sandbox.name,
            "sandboxUID": sandbox.uid,
            "snapshotName": naming.capped(f"{stored_as}-{container}") if several else stored_as,
            "containerName": container,
            "timeoutSeconds": policy.get("timeoutSeconds", DEFAULT_SECONDS),
            # What an agent left behind the last time makes room for what it leaves this time.
            "replace": True,
            "trigger": TRIGGER,
        },
        caller=_caller(sandbox, asked),
        request_id=asked.request_id if asked else "",
    )


def _caller(sandbox: Sandbox, asked: Condition | None) -> str:
    caller = asked.actor.partition(" on behalf of ")[2] if asked else ""
    # Where nobody asked for the end (its time was over), nobody is unknown either.
    return caller.removesuffix(" (unverified)") or f"the termination policy of {sandbox.name}"


def _with(seen: Observation, container: str, **changes: Any) -> Observation:
    kept = tuple(
        replace(each, **changes) if each.container == container else each for each in seen.keepsakes
    )
    return replace(seen, keepsakes=kept)
