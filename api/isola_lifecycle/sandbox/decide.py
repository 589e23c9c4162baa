"""What follows from a sandbox's state and what is seen of its world.

`decide` is pure and total. It returns commands to carry out and facts to append. Commands are
repeated until what they aim at is seen, so they are idempotent and never recorded; facts are
recorded once. The caller carries commands out first, and appends the facts last.

A sandbox is in one of three situations, judged in this order:

    leaving   somebody asked for its end, or its object is being deleted: see it out
    ended     it has an outcome: keep that readable until somebody, or its lifetime, removes it
    living    everything else: bring it up, record what happens, end it when its time is over
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from isola_lifecycle.archive import Moved, is_full
from isola_lifecycle.catalogue import OPERATOR, on_behalf, traced
from isola_lifecycle.commands import AddFinalizer, Decision, RollOver
from isola_lifecycle.keeping import RESERVED_ENTRIES, ROLL_OVER_RETRY, rolled_over
from isola_lifecycle.log import Fact, Status
from isola_lifecycle.naming import SANDBOX
from isola_lifecycle.sandbox.commands import ApplyPolicy, Command, CreatePod
from isola_lifecycle.sandbox.conditions import Key, Reason, Type
from isola_lifecycle.sandbox.facts import fact, is_foreign
from isola_lifecycle.sandbox.leaving import removal, see_out
from isola_lifecycle.sandbox.observation import Observation
from isola_lifecycle.sandbox.rules import (
    ENDINGS,
    PROGRESS,
    door_deadline,
    expiry,
    lifetime_deadline,
    network_obstacle,
    readiness,
)
from isola_lifecycle.sandbox.state import State, carried

# How long to wait before a pod that was refused for now is tried again.
REFUSAL_RETRY = timedelta(seconds=5)


def decide(state: State, seen: Observation, *, room: int) -> Decision[Command]:
    """Return what follows, where the log has `room` for so many more entries."""
    if seen.deleting or state.termination_requested:
        return see_out(state, seen)
    if state.outcome:
        return _keep(state, seen)
    if seen.moved:
        freed = seen.moved.last - seen.moved.first
        decision = _bring_on(state, seen, spare=room + freed - RESERVED_ENTRIES)
        return replace(decision, facts=(_rolled_over(state, seen.moved), *decision.facts))
    if is_full(room) and not seen.archive_refusal and carried(state):
        return Decision(commands=(RollOver(),))
    decision = _bring_on(state, seen, spare=room - RESERVED_ENTRIES)
    if seen.archive_refusal:
        soon = min(decision.requeue_after or ROLL_OVER_RETRY, ROLL_OVER_RETRY)
        return replace(decision, requeue_after=soon)
    return decision


def _rolled_over(state: State, moved: Moved) -> Fact:
    node = {Key.NODE.value: state.node} if state.node else None  # for `kubectl get`
    return rolled_over(moved, SANDBOX.record_kind, node)


def _keep(state: State, seen: Observation) -> Decision[Command]:
    # An ended pod costs nothing and its container logs stay readable; a living one must go.
    commands = removal(seen)
    deadline = lifetime_deadline(state, seen)
    if deadline and seen.now >= deadline:
        return Decision(commands=commands, facts=(expiry(state, seen),))
    return Decision(commands=commands, requeue_after=deadline - seen.now if deadline else None)


def _bring_on(state: State, seen: Observation, *, spare: int) -> Decision[Command]:
    facts = [] if state.accepted_at else [_acceptance(seen)]
    own = replace(seen, pod=None) if is_foreign(state, seen) else seen
    for rule in PROGRESS if spare > 0 else ():
        facts += rule(state, own)
    if len(facts) > max(spare, 1):
        return Decision(facts=tuple(facts[:spare]))  # the rest follows in the next write
    for rule in ENDINGS:
        if ending := tuple(rule(state, seen)):
            # The cause first: the pod is removed once it is recorded, or else a crash in between
            # would leave a deletion whose reason nobody knows.
            return Decision(facts=(*facts, *ending))
    if spare > 0:
        facts += readiness(state, seen)
    return Decision(
        commands=tuple(_wanted(state, seen)),
        facts=tuple(facts),
        requeue_after=_next_look(state, seen),
    )


def _wanted(state: State, seen: Observation) -> Iterator[Command]:
    if not seen.finalizer:
        yield AddFinalizer()
    if network_obstacle(seen) or seen.network_faults:
        return  # no pod, and no other network, before what it may reach is certain
    network = state.network_wanted(seen.network)
    if not seen.policy_current:
        yield ApplyPolicy(network, seen.door)
    elif seen.pod is None and seen.refusal is None:
        yield CreatePod(network)


def _acceptance(seen: Observation) -> Fact:
    valid = not seen.spec_faults
    accepted = fact(
        Type.ACCEPTED,
        Reason.SPEC_VALID if valid else Reason.SPEC_INVALID,
        "The specification is valid" if valid else "; ".join(seen.spec_faults),
        status=Status.of(valid),
    )
    actor = on_behalf(OPERATOR, seen.caller)
    data = traced(seen.traceparent)
    return replace(accepted, actor=actor, request_id=seen.request_id, data=data)


def _next_look(state: State, seen: Observation) -> timedelta | None:
    anchor = state.accepted_at or seen.now
    lifetime = state.lifetime(seen.lifetime)
    deadlines = [anchor + lifetime] if lifetime else []
    if due := door_deadline(state):
        deadlines.append(due)
    if not state.ever_ready:
        deadlines.append(anchor + seen.startup_timeout)
    if seen.refusal or network_obstacle(seen):
        deadlines.append(seen.now + REFUSAL_RETRY)
    # A millisecond past the deadline, which itself still counts as in time.
    return max(min(deadlines) - seen.now, timedelta()) + _TICK if deadlines else None


_TICK = timedelta(milliseconds=1)
