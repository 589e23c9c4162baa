"""How a sandbox is seen out: what is to be kept, pod, log, archive, object, in this order.

    TerminationRequested → what its policy wants is kept, see `parting`
                         → the pod is removed → Terminated → the whole log is in the archive
                                                           → the finalizer goes, and the object

Nothing that is in the way blocks the deletion for ever. A pod on a node that nobody hears from is
removed by force; an archive that takes nothing is given up, and that is recorded as well.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from isola_lifecycle.catalogue import OPERATOR, UNKNOWN_CALLER, on_behalf
from isola_lifecycle.commands import Decision, DeleteObject
from isola_lifecycle.keeping import let_go
from isola_lifecycle.log import Fact
from isola_lifecycle.sandbox.causes import is_given_up
from isola_lifecycle.sandbox.commands import Command, DeletePod, ForcePodAway
from isola_lifecycle.sandbox.conditions import Reason, Type
from isola_lifecycle.sandbox.facts import fact, not_ready
from isola_lifecycle.sandbox.observation import Observation, Pod
from isola_lifecycle.sandbox.parting import keep
from isola_lifecycle.sandbox.state import State

# How long a pod may outlast its grace period on a node that nobody hears from.
LOST_NODE_PATIENCE = timedelta(seconds=60)


def see_out(state: State, seen: Observation) -> Decision[Command]:
    """Return what follows for a sandbox that somebody asked to be removed."""
    if not state.termination_requested:
        # Intent first: a crash after the deletion of the pod must not look like an accident.
        return Decision(facts=(_deletion_of_the_object(),))
    if not seen.deleting:
        return Decision(commands=(DeleteObject(),))
    if keeping := keep(state, seen):
        return keeping
    if seen.pod:
        return _remove(seen.pod, seen)
    if not state.terminated:
        readiness_ends = not_ready(state, "The sandbox was terminated")
        return Decision(facts=(*readiness_ends, _termination(state, seen)))
    if not seen.finalizer:
        return Decision()
    return let_go(seen, state.terminated_at, unarchived=state.unarchived)


def _remove(pod: Pod, seen: Observation) -> Decision[Command]:
    if not (pod.deleting and pod.deletion_due and is_given_up(pod)):
        return Decision(commands=removal(seen))
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
    deleted = fact(
        Type.TERMINATION_REQUESTED,
        Reason.OBJECT_DELETED,
        "The Sandbox object was deleted through the Kubernetes API; by whom is not known to Isola,"
        " the API server's audit log tells",
    )
    return replace(deleted, actor=on_behalf(OPERATOR, UNKNOWN_CALLER))


def removal(seen: Observation) -> tuple[Command, ...]:
    """Return what makes a pod go that nobody needs, ended ones apart while their object stays."""
    pod = seen.pod
    if pod is None or pod.deleting or (pod.ended and not seen.deleting):
        return ()
    return (DeletePod(pod.uid),)
