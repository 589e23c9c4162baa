"""What follows from a snapshot's state and what is seen of its world. Pure and total.

A snapshot is in one of three situations, judged in this order:

    leaving   somebody wants it to go, or its object is being deleted: see it out
    ended     it has an outcome: keep that readable for a while
    living    everything else: take it on, have it taken by a Job, see that this ends

What is in between, the uploader tells: see `conditions`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from isola_lifecycle.archive import is_full
from isola_lifecycle.commands import AddFinalizer, Decision, RollOver
from isola_lifecycle.keeping import RESERVED_ENTRIES, ROLL_OVER_RETRY, rolled_over
from isola_lifecycle.log import Fact
from isola_lifecycle.naming import ROOTFS_SNAPSHOT
from isola_lifecycle.snapshot.commands import Command, CreateJob, DeleteJob
from isola_lifecycle.snapshot.conditions import Key, Reason, Type
from isola_lifecycle.snapshot.fold import RETAIN
from isola_lifecycle.snapshot.leaving import see_out
from isola_lifecycle.snapshot.observation import Observation
from isola_lifecycle.snapshot.rules import (
    FAILURES,
    acceptance,
    fact,
    progress,
    replacement,
    rivals,
)
from isola_lifecycle.snapshot.state import State, carried

# How long to wait before a Job that was refused for now is tried again, and before a snapshot of
# the same name that is still being taken is looked at again.
RETRY = timedelta(seconds=5)


def decide(state: State, seen: Observation, *, room: int) -> Decision[Command]:
    """Return what follows, where the log has `room` for so many more entries."""
    if seen.deleting or state.deletion_requested_at:
        return see_out(state, seen)
    if state.outcome:
        return _keep(state, seen)
    if seen.moved:
        freed = seen.moved.last - seen.moved.first
        decision = _bring_on(state, seen, spare=room + freed - RESERVED_ENTRIES)
        moved = rolled_over(seen.moved, ROOTFS_SNAPSHOT.record_kind)
        return replace(decision, facts=(moved, *decision.facts))
    if is_full(room) and not seen.archive_refusal and carried(state):
        return Decision(commands=(RollOver(),))
    decision = _bring_on(state, seen, spare=room - RESERVED_ENTRIES)
    if seen.archive_refusal:
        soon = min(decision.requeue_after or ROLL_OVER_RETRY, ROLL_OVER_RETRY)
        return replace(decision, requeue_after=soon)
    return decision


def _bring_on(state: State, seen: Observation, *, spare: int) -> Decision[Command]:
    commands: list[Command] = [] if seen.finalizer else [AddFinalizer()]
    if state.accepted_at is None:
        if seen.replaces and rivals(seen):
            return Decision(commands=tuple(commands), requeue_after=RETRY)  # one after the other
        return Decision(commands=tuple(commands), facts=acceptance(seen))
    facts = list(progress(state, seen)) if spare > 0 else []
    for rule in FAILURES:
        if ending := tuple(rule(state, seen)):
            return Decision(facts=(*facts, *ending))
    if seen.job is None and seen.refusal is None:
        commands.append(CreateJob())
    left = state.accepted_at + seen.timeout - seen.now
    look = min(left, RETRY) if seen.refusal else left
    return Decision(commands=tuple(commands), facts=tuple(facts), requeue_after=look)


def _keep(state: State, seen: Observation) -> Decision[Command]:
    if seen.job and not seen.job.deleting:
        # With it goes the archive that it has on the node.
        return Decision(commands=(DeleteJob(seen.job.uid),))
    facts = list(replacement(state, seen))
    ended = state.outcome.at if state.outcome else seen.now
    left = ended + seen.time_to_live - seen.now
    if left <= timedelta():
        return Decision(facts=(*facts, _expiry(seen)))
    return Decision(facts=tuple(facts), requeue_after=left)


def _expiry(seen: Observation) -> Fact:
    message = (
        f"It ended {seen.time_to_live.total_seconds():g} s ago (spec.ttlSecondsAfterFinished);"
        " what is stored stays"
    )
    reason = Reason.TIME_TO_LIVE_EXCEEDED
    return fact(Type.DELETION_REQUESTED, reason, message, {Key.OBJECT: RETAIN})
