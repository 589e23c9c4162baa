"""The rules of a living sandbox: what is recorded on its way, and what ends it.

A rule is a short function from state and observation to the facts that it adds, most often none.
`PROGRESS` and `ENDINGS` are read aloud in their order: what happened first is recorded first, and
the first cause that ends a sandbox is its cause of death.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from isola_lifecycle.log import Fact, Status
from isola_lifecycle.sandbox.causes import exit_of, is_given_up, trouble_of
from isola_lifecycle.sandbox.conditions import Key, Reason, Type
from isola_lifecycle.sandbox.facts import closing, fact, is_foreign, not_ready
from isola_lifecycle.sandbox.fold import State
from isola_lifecycle.sandbox.network import described
from isola_lifecycle.sandbox.observation import Container, Observation, Pod, PodPhase
from isola_lifecycle.sandbox.restores import (
    is_judged,
    of_a_failed_restore,
    of_another_base,
    of_another_runtime,
    unstaged,
)
from isola_lifecycle.seen import Refusal

# How long a door is open for somebody to see that it is.
DOOR_TIME = timedelta(seconds=60)

Rule = Callable[[State, Observation], Iterator[Fact]]


# --- on the way --------------------------------------------------------------------------------


def _configured(state: State, seen: Observation) -> Iterator[Fact]:
    if seen.spec_faults and not state.pod_uid:
        return
    told = described(state.network_wanted(seen.network))
    news = not state.network_configured or state.network_asked is not None
    if seen.network_faults and state.network_asked is not None:
        message = f"What was before stays in force: {'; '.join(seen.network_faults)}"
        yield _no_network(Reason.CHANGE_REFUSED, message)
    elif obstacle := network_obstacle(seen):
        reason, message = obstacle
        if news and state.network_told != reason:
            yield _no_network(reason, message)
    elif seen.policy_current and news:
        reason = Reason.POLICY_APPLIED if seen.policy else Reason.NOTHING_ALLOWED
        yield _network(reason, told + _until_seen(seen), seen)
    elif _corrected(seen) and state.network_told != Reason.POLICY_CORRECTED:
        message = (
            "The NetworkPolicy was not as it should be: somebody changed or deleted it, or this"
            f" cluster's ranges changed. It is right again. {told}"
        )
        yield _network(Reason.POLICY_CORRECTED, message, seen)


def _network(reason: Reason, message: str, seen: Observation) -> Fact:
    told = {Key.POLICY: seen.policy, Key.DOOR: seen.door}
    data = {key: value for key, value in told.items() if value}
    return fact(Type.NETWORK_CONFIGURED, reason, message, data)


def _corrected(seen: Observation) -> bool:
    # That a door goes was settled by the entry that closed it.
    return seen.policy_applied and not seen.policy_ajar


def _until_seen(seen: Observation) -> str:
    return f". Until that is seen in force, {seen.door} as well" if seen.door else ""


def _unseen(state: State, seen: Observation) -> Iterator[Fact]:
    due = door_deadline(state)
    if due and seen.now >= due:
        message = (
            f"Nobody saw within {_seconds(DOOR_TIME)} that the change is in force, although the"
            " NetworkPolicy is as it should be; ask for the same settings again to find out"
        )
        reason = Reason.NOT_SEEN_IN_FORCE
        yield fact(Type.NETWORK_ENFORCED, reason, message, status=Status.FALSE)


def door_deadline(state: State) -> datetime | None:
    """Return when an open door closes by itself, or None where none is open."""
    door = state.network_door
    return door.opened_at + DOOR_TIME if door and not door.closed else None


def _no_network(reason: Reason, message: str) -> Fact:
    return fact(Type.NETWORK_CONFIGURED, reason, message, status=Status.FALSE)


def network_obstacle(seen: Observation) -> tuple[Reason, str] | None:
    """Return what keeps the network from being as the settings say, at present, if anything."""
    if seen.ranges_unknown:
        return Reason.CLUSTER_RANGES_UNKNOWN, seen.ranges_unknown
    if seen.policy_refusal:
        message = f"The API server does not take the NetworkPolicy: {seen.policy_refusal}"
        return Reason.POLICY_REJECTED, message
    return None


def _refused(state: State, seen: Observation) -> Iterator[Fact]:
    refusal = seen.refusal
    if refusal is None:
        return
    reason = Reason.POD_REJECTED if refusal.final else Reason.POD_FORBIDDEN
    if state.trouble is None or state.trouble.reason != reason:
        yield fact(Type.POD_CREATED, reason, _refusal_message(refusal), status=Status.FALSE)


def _created(state: State, seen: Observation) -> Iterator[Fact]:
    pod = seen.pod
    if pod and not state.pod_uid:
        data = {Key.POD: pod.name, Key.POD_UID: pod.uid}
        if pod.sidecar_certificate:
            data[Key.SIDECAR_CERTIFICATE] = pod.sidecar_certificate
        yield fact(Type.POD_CREATED, Reason.POD_CREATED, f"Pod {pod.name} was created", data)


def _scheduled(state: State, seen: Observation) -> Iterator[Fact]:
    pod = seen.pod
    if pod is None or state.node:
        return
    if pod.node:
        message = f"The pod was assigned to node {pod.node}"
        yield fact(Type.SCHEDULED, Reason.NODE_ASSIGNED, message, {Key.NODE: pod.node})
    elif pod.unschedulable and state.trouble is None:
        message = f"No node fits: {pod.unschedulable}"
        yield fact(Type.SCHEDULED, Reason.UNSCHEDULABLE, message, status=Status.FALSE)


def _held_up(state: State, seen: Observation) -> Iterator[Fact]:
    trouble = trouble_of(seen.pod)
    if trouble is None or state.started:
        return
    # A kubelet alternates between failing and backing off, in ever new words: that is one trouble.
    known = state.trouble
    if known is None or (known.reason, known.container) != (trouble.reason, trouble.container):
        data = {Key.CONTAINER: trouble.container}
        yield fact(Type.STARTED, trouble.reason, trouble.message, data, status=Status.FALSE)


def _started(state: State, seen: Observation) -> Iterator[Fact]:
    pod = seen.pod
    if pod and not state.started and pod.containers and all(map(_has_started, pod.containers)):
        yield fact(Type.STARTED, Reason.CONTAINERS_STARTED, "All containers were started")


def _exited(state: State, seen: Observation) -> Iterator[Fact]:
    for container in seen.pod.containers if seen.pod else ():
        if container.exit_code is not None and container.name not in state.exited:
            reason, message = exit_of(container)
            yield fact(Type.CONTAINER_EXITED, reason, message, _exit_data(container))


PROGRESS: tuple[Rule, ...] = (
    _configured,
    _unseen,
    _refused,
    _created,
    _scheduled,
    _held_up,
    _started,
    _exited,
)


def readiness(state: State, seen: Observation) -> Iterator[Fact]:
    """Yield that the sandbox became ready, moved or lost its readiness: for one that goes on."""
    pod = seen.pod
    if pod is None or not is_judged(state, seen):
        return
    if _accepts_commands(pod) and not (state.ready and state.pod_ip == pod.ip):
        message = "The sandbox accepts commands"
        yield fact(Type.READY, Reason.POD_READY, message, {Key.POD_IP: pod.ip})
    elif not _accepts_commands(pod):
        reason = Reason.NODE_UNREACHABLE if pod.unreachable else Reason.READINESS_LOST
        yield from not_ready(state, _why_not_ready(pod), reason)


# --- the end -----------------------------------------------------------------------------------


def _of_an_impossible_spec(state: State, seen: Observation) -> Iterator[Fact]:
    if seen.spec_faults and not state.pod_uid:
        yield from closing(state, Reason.SPEC_INVALID, "; ".join(seen.spec_faults))


def _of_a_rejected_pod(state: State, seen: Observation) -> Iterator[Fact]:
    if seen.refusal and seen.refusal.final:
        yield from closing(state, Reason.POD_REJECTED, _refusal_message(seen.refusal))


def _of_a_lost_node(state: State, seen: Observation) -> Iterator[Fact]:
    pod = None if is_foreign(state, seen) else seen.pod
    gone = pod is None or pod.deleting or pod.ended
    if not state.pod_uid or not gone or (pod and _ended_by_itself(pod)):
        return
    if state.unreachable or (pod and is_given_up(pod)):
        why = pod.disruption if pod and pod.disruption else "it stopped answering"
        message = f"Node {state.node or 'unknown'} was lost, and the sandbox with it: {why}"
        yield from closing(state, Reason.NODE_LOST, message)


def _of_an_unenforced_network(state: State, seen: Observation) -> Iterator[Fact]:
    pod = seen.pod
    if pod and pod.unenforced and not is_foreign(state, seen):
        ran = ", ".join(c.name for c in pod.containers if _has_started(c))
        started = f"Started all the same: {ran}" if ran else "None of its containers was started"
        message = (
            f"The network policies of the pod were not seen to be in force on node {pod.node}:"
            f" {pod.unenforced}. {started}"
        )
        yield from closing(state, Reason.NETWORK_NOT_ENFORCED, message)


def _of_an_ended_pod(state: State, seen: Observation) -> Iterator[Fact]:
    pod = seen.pod
    if pod is None or not pod.ended or is_foreign(state, seen):
        return
    culprit = next((c for c in pod.containers if c.exit_code), None)
    if pod.phase == PodPhase.SUCCEEDED:
        message = "Every container exited with code 0"
        yield from closing(state, Reason.COMPLETED, message, {Key.EXIT_CODE: "0"})
    elif pod.reason == Reason.EVICTED:
        message = f"The node evicted the pod: {pod.message}"
        yield from closing(state, Reason.EVICTED, message, _exit_data(culprit))
    elif culprit:
        reason, message = exit_of(culprit)
        yield from closing(state, reason, message, _exit_data(culprit))
    else:
        why = ": ".join(filter(None, (pod.reason, pod.message))) or "Kubernetes gave no reason"
        yield from closing(state, Reason.POD_FAILED, f"The pod failed: {why}")


def _of_a_lost_pod(state: State, seen: Observation) -> Iterator[Fact]:
    # The root file system went with it. A new pod under the same name would be another sandbox.
    pod = seen.pod
    if state.pod_uid and (pod is None or pod.deleting or is_foreign(state, seen)):
        told = (pod.disruption_reason, pod.disruption) if pod else ()
        why = "".join(f": {part}" for part in told if part)
        yield from closing(state, Reason.POD_DELETED, f"The pod was deleted from outside{why}")


def _of_an_expired_lifetime(state: State, seen: Observation) -> Iterator[Fact]:
    deadline = lifetime_deadline(state, seen)
    if deadline and seen.now >= deadline:
        end = expiry(state, seen)
        yield from closing(state, Reason.LIFETIME_EXCEEDED, end.message)
        yield end


def _of_a_hopeless_start(state: State, seen: Observation) -> Iterator[Fact]:
    trouble = trouble_of(seen.pod)
    if trouble and trouble.reason == Reason.IMAGE_NAME_INVALID:  # no kubelet ever retries this one
        yield from closing(state, trouble.reason, trouble.message)


def _of_a_slow_start(state: State, seen: Observation) -> Iterator[Fact]:
    if state.ever_ready or state.accepted_at is None:
        return
    if seen.now <= state.accepted_at + seen.startup_timeout:
        return
    trouble = trouble_of(seen.pod) or state.trouble
    message = f"Not ready within {_seconds(seen.startup_timeout)} (spec.startupTimeoutSeconds)"
    if trouble is None:
        yield from closing(state, Reason.STARTUP_TIMEOUT, message + _what_is_awaited(state, seen))
    else:
        yield from closing(state, trouble.reason, f"{message}: {trouble.message}")


ENDINGS: tuple[Rule, ...] = (
    _of_an_impossible_spec,
    _of_a_rejected_pod,
    _of_a_lost_node,
    _of_an_unenforced_network,
    of_another_runtime,
    of_a_failed_restore,
    of_another_base,
    _of_an_ended_pod,
    _of_a_lost_pod,
    _of_an_expired_lifetime,
    _of_a_hopeless_start,
    _of_a_slow_start,
)


def lifetime_deadline(state: State, seen: Observation) -> datetime | None:
    """Return when the sandbox's lifetime is over, or None where it has no limit."""
    return state.deadline(seen.lifetime)


def expiry(state: State, seen: Observation) -> Fact:
    """Return that the end of the sandbox is due by its own lifetime."""
    source = "TimeoutChanged" if state.changed_lifetime else "spec.timeoutSeconds"
    return fact(
        Type.TERMINATION_REQUESTED,
        Reason.LIFETIME_EXCEEDED,
        f"The lifetime of {_seconds(state.lifetime(seen.lifetime))} ({source}) is over",
    )


def _refusal_message(refusal: Refusal) -> str:
    verb = "rejected the pod" if refusal.final else "does not allow the pod at present"
    return f"The API server {verb}: {refusal.message}"


def _exit_data(container: Container | None) -> dict[Key, str]:
    if container is None:
        return {}
    return {Key.CONTAINER: container.name, Key.EXIT_CODE: str(container.exit_code)}


def _ended_by_itself(pod: Pod) -> bool:
    return bool(pod.containers) and all(c.exit_code is not None for c in pod.containers)


def _has_started(container: Container) -> bool:
    return container.running or container.exit_code is not None


def _accepts_commands(pod: Pod) -> bool:
    # One container that ends makes the whole pod unready; its neighbours still serve.
    if pod.phase != PodPhase.RUNNING or pod.deleting or not pod.ip:
        return False
    living = [c for c in pod.containers if c.exit_code is None]
    some_ended = len(living) < len(pod.containers)
    neighbours = some_ended and bool(living) and all(c.ready for c in living)
    return pod.ready or (pod.sidecar_ready and neighbours)


def _what_is_awaited(state: State, seen: Observation) -> str:
    pod = seen.pod
    if pod is None or not pod.node:
        return ": no node was assigned"
    if silent := unstaged(state, seen, pod):
        return f": {silent}"
    images = ", ".join(c.image for c in pod.containers if not _has_started(c))
    return f": not started, and perhaps still being pulled: {images}" if images else ""


def _why_not_ready(pod: Pod) -> str:
    if pod.unreachable:
        return f"Node {pod.node} does not answer; if it stays away, the sandbox is lost"
    if not pod.sidecar_ready:
        return "The sidecar does not run; it is restarted by the kubelet"
    unready = ", ".join(c.name for c in pod.containers if not c.ready)
    return (
        f"Container {unready} is not ready" if unready else "A readiness gate of the pod is closed"
    )


def _seconds(span: timedelta | None) -> str:
    return f"{span.total_seconds():g} s" if span else "0 s"
