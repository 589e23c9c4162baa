"""What is kept of a sandbox before it goes: the snapshots that its termination policy wants.

    SnapshotRequested → a RootfsSnapshot for each container → Snapshotted → the pod is removed

Only of a sandbox that runs: one that ended by itself, or never started, goes without, and that is
recorded, as is every other reason for which something was not kept. Nothing of this outlasts the
policy's time-out: a deletion is not blocked by a bucket.
"""

from __future__ import annotations

from datetime import timedelta

from isola_lifecycle.commands import Decision
from isola_lifecycle.log import Fact, Status
from isola_lifecycle.sandbox.commands import Command, RequestSnapshot
from isola_lifecycle.sandbox.conditions import Key, Reason, Type
from isola_lifecycle.sandbox.facts import fact
from isola_lifecycle.sandbox.observation import Observation, PodPhase
from isola_lifecycle.sandbox.state import State

# How long to wait before a snapshot that could not be created for now is tried again.
RETRY = timedelta(seconds=2)


def keep(state: State, seen: Observation) -> Decision[Command] | None:
    """Return what follows while something is to be kept, or None where there is nothing."""
    if seen.keeps_for is None or state.snapshotted or state.terminated:
        return None
    requested_at = state.snapshot_requested_at
    if requested_at is None:
        return Decision(facts=(_obstacle(seen) or _request(seen),))
    if seen.keepsakes and all(each.ended for each in seen.keepsakes):
        return Decision(facts=(_outcome(seen),))
    left = requested_at + seen.keeps_for - seen.now
    if left <= timedelta():
        return Decision(facts=(_timeout(seen, seen.keeps_for),))
    missing = tuple(k.container for k in seen.keepsakes if not k.there and not k.ended)
    if missing and seen.refusal is None:
        return Decision(commands=tuple(RequestSnapshot(container) for container in missing))
    return Decision(requeue_after=min(left, RETRY) if missing else left)


def _obstacle(seen: Observation) -> Fact | None:
    pod = seen.pod
    if not seen.snapshots_enabled:
        message = "Snapshots are switched off in this installation by now"
        return _not_kept(Reason.SNAPSHOTS_DISABLED, message)
    if pod is None or pod.deleting or pod.unreachable or pod.phase != PodPhase.RUNNING:
        message = "It is not running any more, or not yet, or its node does not answer"
        return _not_kept(Reason.SANDBOX_NOT_RUNNING, message)
    return None


def _request(seen: Observation) -> Fact:
    names = ", ".join(each.name for each in seen.keepsakes)
    message = f"The termination policy wants its root file systems kept: {names}"
    data = {Key.SNAPSHOTS: names}
    return fact(Type.SNAPSHOT_REQUESTED, Reason.TERMINATION_POLICY, message, data)


def _outcome(seen: Observation) -> Fact:
    failed = [each for each in seen.keepsakes if not each.succeeded]
    if failed:
        told = "; ".join(f"{each.name}: {each.obstacle or each.message}" for each in failed)
        return _not_kept(Reason.SNAPSHOT_FAILED, told)
    names = ", ".join(each.name for each in seen.keepsakes)
    data = {Key.SNAPSHOTS: names}
    return fact(Type.SNAPSHOTTED, Reason.SNAPSHOTS_STORED, f"Stored: {names}", data)


def _timeout(seen: Observation, patience: timedelta) -> Fact:
    late = ", ".join(each.name for each in seen.keepsakes if not each.succeeded)
    why = f": {seen.refusal.message}" if seen.refusal else ""
    message = (
        f"Not stored within {patience.total_seconds():g} s"
        f" (spec.terminationPolicy.snapshotRootfs.timeoutSeconds): {late}{why}"
    )
    return _not_kept(Reason.SNAPSHOT_TIMEOUT, message)


def _not_kept(reason: Reason, message: str) -> Fact:
    return fact(Type.SNAPSHOTTED, reason, message, status=Status.FALSE)
