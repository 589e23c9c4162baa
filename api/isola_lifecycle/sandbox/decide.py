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

from dataclasses import dataclass, replace
from datetime import timedelta

from isola_lifecycle.log import Fact, Status
from isola_lifecycle.sandbox.causes import is_given_up
from isola_lifecycle.sandbox.conditions import OPERATOR, Reason, Type, on_behalf, traced
from isola_lifecycle.sandbox.fold import State
from isola_lifecycle.sandbox.observation import Observation, Pod
from isola_lifecycle.sandbox.rules import (
    ENDINGS,
    PROGRESS,
    expiry,
    fact,
    is_foreign,
    lifetime_deadline,
    not_ready,
    readiness,
)

# Entries kept free for the end of the story: exits, outcome, request, readiness, termination.
# A log that is full up to here records no more comings and goings.
RESERVED_ENTRIES = 24

# How long to wait before a pod that was refused for now is tried again.
REFUSAL_RETRY = timedelta(seconds=5)

# How long a pod may outlast its grace period on a node that nobody hears from.
LOST_NODE_PATIENCE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Make sure that deletion waits for us."""


@dataclass(frozen=True, slots=True)
class CreatePod:
    """Make sure that the pod exists."""


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Make sure that the pod of this UID is on its way out."""

    uid: str


@dataclass(frozen=True, slots=True)
class ForcePodAway:
    """Make sure that nothing is left of the pod of this UID, whatever its node says."""

    uid: str


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """Make sure that the Sandbox is being deleted."""


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Let the API server remove the Sandbox. The last thing that ever happens to it."""


Command = AddFinalizer | CreatePod | DeletePod | ForcePodAway | DeleteObject | RemoveFinalizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be done and recorded.

    Attributes:
        commands: To be carried out in this order, before anything is appended.
        facts: To be appended in one write, after the commands.
        requeue_after: When to look again at the latest, although nothing may have changed.
    """

    commands: tuple[Command, ...] = ()
    facts: tuple[Fact, ...] = ()
    requeue_after: timedelta | None = None


def decide(state: State, seen: Observation, *, room: int) -> Decision:
    """Return what follows, where the log has `room` for so many more entries."""
    if seen.deleting or state.termination_requested:
        return _see_out(state, seen)
    if state.outcome:
        return _keep(state, seen)
    return _bring_on(state, seen, comings_and_goings=room > RESERVED_ENTRIES)


def _see_out(state: State, seen: Observation) -> Decision:
    if not state.termination_requested:
        # Intent first: a crash after the deletion of the pod must not look like an accident.
        return Decision(facts=(_deletion_of_the_object(),))
    if not seen.deleting:
        return Decision(commands=(DeleteObject(),))
    if seen.pod:
        return _remove(seen.pod, seen)
    if not state.terminated:
        readiness_ends = not_ready(state, "The sandbox was terminated")
        return Decision(facts=(*readiness_ends, _termination(state, seen)))
    return Decision(commands=(RemoveFinalizer(),) if seen.finalizer else ())


def _remove(pod: Pod, seen: Observation) -> Decision:
    if not (pod.deleting and pod.deletion_due and is_given_up(pod)):
        return Decision(commands=_removal(seen))
    # Nothing happens to such a pod any more: we have to look again by ourselves.
    patience = pod.deletion_due + LOST_NODE_PATIENCE - seen.now
    if patience > timedelta():
        return Decision(requeue_after=patience)
    return Decision(commands=(ForcePodAway(pod.uid),))


def _termination(state: State, seen: Observation) -> Fact:
    lost = state.outcome is not None and state.outcome.reason == Reason.NODE_LOST
    if not (lost or state.unreachable or seen.forced):
        return fact(Type.TERMINATED, Reason.POD_REMOVED, "The pod and all that was in it are gone")
    node = state.node or "unknown"
    return fact(
        Type.TERMINATED,
        Reason.NODE_LOST,
        f"The pod is gone from the cluster without the word of its node {node}; what may still run"
        " there ends when its kubelet is back",
    )


def _deletion_of_the_object() -> Fact:
    return fact(
        Type.TERMINATION_REQUESTED,
        Reason.OBJECT_DELETED,
        "The Sandbox object was deleted through the Kubernetes API; by whom is not known to Isola,"
        " the API server's audit log tells",
    )


def _keep(state: State, seen: Observation) -> Decision:
    # An ended pod costs nothing and its container logs stay readable; a living one must go.
    commands = _removal(seen)
    deadline = lifetime_deadline(state, seen)
    if deadline and seen.now >= deadline:
        return Decision(commands=commands, facts=(expiry(state, seen),))
    return Decision(commands=commands, requeue_after=deadline - seen.now if deadline else None)


def _bring_on(state: State, seen: Observation, *, comings_and_goings: bool) -> Decision:
    facts = [] if state.accepted_at else [_acceptance(seen)]
    own = replace(seen, pod=None) if is_foreign(state, seen) else seen
    for rule in PROGRESS if comings_and_goings else ():
        facts += rule(state, own)
    for rule in ENDINGS:
        if ending := tuple(rule(state, seen)):
            # The cause first: the pod is removed once it is recorded, or else a crash in between
            # would leave a deletion whose reason nobody knows.
            return Decision(facts=(*facts, *ending))
    if comings_and_goings:
        facts += readiness(state, seen)
    commands: list[Command] = [] if seen.finalizer else [AddFinalizer()]
    if seen.pod is None and seen.refusal is None:
        commands.append(CreatePod())
    return Decision(
        commands=tuple(commands), facts=tuple(facts), requeue_after=_next_look(state, seen)
    )


def _removal(seen: Observation) -> tuple[Command, ...]:
    pod = seen.pod
    if pod is None or pod.deleting or (pod.ended and not seen.deleting):
        return ()
    return (DeletePod(pod.uid),)


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
    if not state.ever_ready:
        deadlines.append(anchor + seen.startup_timeout)
    if seen.refusal:
        deadlines.append(seen.now + REFUSAL_RETRY)
    # A millisecond past the deadline, which itself still counts as in time.
    return max(min(deadlines) - seen.now, timedelta()) + _TICK if deadlines else None


_TICK = timedelta(milliseconds=1)
