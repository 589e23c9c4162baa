"""How a snapshot is seen out: Job, object in the bucket, log, resource, in this order.

    DeletionRequested → the Job is gone → Deleted, where the object goes too
                                        → the Job that removed it is on its way out
                                        → the whole log is in the archive → the finalizer goes

Nothing that is in the way blocks the deletion for ever: an object that cannot be removed is given
up, and that is recorded.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from isola_lifecycle.catalogue import OPERATOR, UNKNOWN_CALLER, on_behalf
from isola_lifecycle.commands import Decision, DeleteObject
from isola_lifecycle.keeping import let_go
from isola_lifecycle.log import Fact, Status
from isola_lifecycle.snapshot.commands import (
    Command,
    CreateRemoval,
    DeleteJob,
    DeleteRemoval,
)
from isola_lifecycle.snapshot.conditions import Key, Reason, Type
from isola_lifecycle.snapshot.fold import DELETE, RETAIN
from isola_lifecycle.snapshot.observation import Observation
from isola_lifecycle.snapshot.rules import fact, failure
from isola_lifecycle.snapshot.state import State

# How long the removal of the object may take.
REMOVAL_PATIENCE = timedelta(seconds=120)
REMOVAL_RETRY = timedelta(seconds=5)


def see_out(state: State, seen: Observation) -> Decision[Command]:
    """Return what follows for a snapshot that somebody wants to go."""
    if intents := _intents(state, seen):
        return Decision(facts=intents)
    if not seen.deleting:
        return Decision(commands=(DeleteObject(),))
    if seen.job:
        # It goes after its pods: nothing is stored any more once it is gone.
        return Decision(commands=() if seen.job.deleting else (DeleteJob(seen.job.uid),))
    if state.object_goes and state.stored and not state.deleted_at:
        return _remove(state, seen)
    if seen.removal and not seen.removal.deleting:
        # It has no owner that would take it along: the resource is in another namespace.
        return Decision(commands=(DeleteRemoval(seen.removal.uid),))
    if not seen.finalizer:
        return Decision()
    since = state.deleted_at or state.deletion_requested_at
    return let_go(seen, since, unarchived=state.unarchived)


def _intents(state: State, seen: Observation) -> tuple[Fact, ...]:
    facts: list[Fact] = []
    if state.deletion_requested_at is None:
        # Intent first: a crash after its effect must not look like an accident.
        facts.append(_deletion_of_the_resource(seen))
    if state.outcome is None:
        message = "It was deleted before it was stored"
        facts.append(failure(Reason.CANCELLED, message))
    return tuple(facts)


def _deletion_of_the_resource(seen: Observation) -> Fact:
    fate = DELETE if seen.deletes_object else RETAIN
    message = (
        "The RootfsSnapshot was deleted through the Kubernetes API; by whom is not known to Isola,"
        f" the API server's audit log tells. spec.deletionPolicy of what is stored: {fate}"
    )
    deleted = fact(Type.DELETION_REQUESTED, Reason.OBJECT_DELETED, message, {Key.OBJECT: fate})
    return replace(deleted, actor=on_behalf(OPERATOR, UNKNOWN_CALLER))


def _remove(state: State, seen: Observation) -> Decision[Command]:
    waited = seen.now - (state.deletion_requested_at or seen.now)
    why = _what_failed(seen)
    if why or waited >= REMOVAL_PATIENCE:
        key = state.stored.key if state.stored else ""
        message = f"{key} may still be in the bucket: {why or 'its removal took too long'}"
        given_up = fact(
            Type.DELETED, Reason.REMOVAL_FAILED, message, {Key.KEY: key}, status=Status.FALSE
        )
        return Decision(facts=(given_up,))
    look = min(REMOVAL_PATIENCE - waited, REMOVAL_RETRY)
    if seen.removal or seen.refusal:
        return Decision(requeue_after=look)
    return Decision(commands=(CreateRemoval(),))


def _what_failed(seen: Observation) -> str:
    if not seen.enabled:
        return "snapshots are switched off here"
    if seen.refusal and seen.refusal.final:
        return seen.refusal.message
    if seen.removal and (seen.removal.failed or seen.removal.complete):
        return f"the Job that removes it failed: {seen.removal.message}"
    return ""
