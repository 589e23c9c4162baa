"""The rules of a snapshot: what keeps it from being taken, and what ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from isola_lifecycle.catalogue import OPERATOR, on_behalf, traced
from isola_lifecycle.log import Fact, Status
from isola_lifecycle.snapshot.conditions import Key, Reason, Type
from isola_lifecycle.snapshot.observation import Container, Namesake, Observation, Sandbox
from isola_lifecycle.snapshot.state import State

# The runtime whose state directory the Job looks into.
RUNTIME = "containerd"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why there can be no snapshot.

    Attributes:
        reason: For programs.
        message: For people, with what they can do.
    """

    reason: Reason
    message: str


def fact(
    about: Type,
    reason: Reason,
    message: str,
    data: dict[Key, str] | None = None,
    *,
    status: Status = Status.TRUE,
) -> Fact:
    """Return a fact of the operator's."""
    return Fact(
        type=about.value,
        status=status,
        reason=reason.value,
        message=message,
        actor=OPERATOR,
        data={key.value: value for key, value in (data or {}).items()},
    )


def failure(reason: Reason, message: str) -> Fact:
    """Return that there will be no snapshot."""
    return fact(Type.SUCCEEDED, reason, message, status=Status.FALSE)


# --- before anything is done -------------------------------------------------------------------


def rivals(seen: Observation) -> tuple[Namesake, ...]:
    """Return the older snapshots of the same name that are still being taken."""
    return tuple(each for each in seen.namesakes if each.older and not each.ended)


def acceptance(seen: Observation) -> tuple[Fact, ...]:
    """Return that the snapshot is taken on, or why it cannot be."""
    found = _source(seen)
    accepted = (
        fact(Type.ACCEPTED, found.reason, found.message, status=Status.FALSE)
        if isinstance(found, Obstacle)
        else fact(Type.ACCEPTED, Reason.SPEC_VALID, _what_is_taken(seen, found), found)
    )
    accepted = replace(
        accepted,
        actor=on_behalf(OPERATOR, seen.caller),
        request_id=seen.request_id,
        data={**accepted.data, **traced(seen.traceparent)},
    )
    if isinstance(found, Obstacle):
        return (accepted, failure(found.reason, found.message))
    return (accepted,)


def _source(seen: Observation) -> dict[Key, str] | Obstacle:
    if not seen.enabled:
        message = "Snapshots are switched off here: operator.sandboxRuntime.rootfssnapshot.enabled"
        return Obstacle(Reason.SNAPSHOTS_DISABLED, message)
    if taken := _taken(seen):
        return taken
    if seen.adopts:
        return {Key.SNAPSHOT_NAME: seen.snapshot_name}
    sandbox = seen.sandbox
    if sandbox is None or seen.sandbox_uid not in {"", sandbox.uid}:
        which = f" with the UID {seen.sandbox_uid}" if sandbox else ""
        message = f"There is no sandbox {seen.sandbox_name}{which}"
        return Obstacle(Reason.SANDBOX_NOT_FOUND, message)
    container = _container(seen, sandbox)
    return container if isinstance(container, Obstacle) else _data(seen, sandbox, container)


def _taken(seen: Observation) -> Obstacle | None:
    for other in seen.namesakes:
        stored = other.stored_at is not None
        if not seen.replaces and (stored or (other.older and not other.ended)):
            message = (
                f"The name {seen.snapshot_name} is taken by RootfsSnapshot {other.name}; choose"
                " another, or ask for its replacement"
            )
            return Obstacle(Reason.NAME_TAKEN, message)
    return None


def _container(seen: Observation, sandbox: Sandbox) -> Container | Obstacle:
    if not sandbox.running:
        message = f"Sandbox {seen.sandbox_name} is not running; only of a running one can it be"
        return Obstacle(Reason.SANDBOX_NOT_RUNNING, message)
    wanted = (c for c in sandbox.containers if seen.container_name in {"", c.name})
    container = next(wanted, None)
    if container is None:
        names = ", ".join(c.name for c in sandbox.containers)
        message = f"Sandbox {seen.sandbox_name} has no container {seen.container_name}, but {names}"
        return Obstacle(Reason.CONTAINER_NOT_FOUND, message)
    if not container.running:
        message = f"Container {container.name} of sandbox {seen.sandbox_name} is not running"
        return Obstacle(Reason.SANDBOX_NOT_RUNNING, message)
    if not container.id.startswith(f"{RUNTIME}://"):
        message = f"The node runs its containers with {container.id.partition(':')[0]}, not with"
        return Obstacle(Reason.RUNTIME_UNSUPPORTED, f"{message} {RUNTIME}")
    return container


def _data(seen: Observation, sandbox: Sandbox, container: Container) -> dict[Key, str]:
    return {
        Key.SNAPSHOT_NAME: seen.snapshot_name,
        Key.SANDBOX_UID: sandbox.uid,
        Key.NODE: sandbox.node,
        Key.CONTAINER: container.name,
        Key.CONTAINER_ID: container.id.partition("://")[2],
        Key.IMAGE: container.image,
        Key.IMAGE_ID: container.image_id,
    }


def _what_is_taken(seen: Observation, data: dict[Key, str]) -> str:
    if seen.adopts:
        return f"What the bucket has under the name {seen.snapshot_name} is to be adopted"
    return f"Of container {data[Key.CONTAINER]} on node {data[Key.NODE]}"


# --- while it is taken -------------------------------------------------------------------------

Rule = Callable[[State, Observation], Iterator[Fact]]


def progress(state: State, seen: Observation) -> Iterator[Fact]:
    """Yield that the Job exists, or that the API server does not let it in."""
    about = Type.ADOPTING if seen.adopts else Type.CAPTURING
    if seen.job and not state.job_uid:
        node = f" on node {state.source.node}" if state.source else ""
        message = f"The Job{node} was created"
        yield fact(about, Reason.JOB_CREATED, message, {Key.JOB_UID: seen.job.uid})
    elif seen.refusal and state.trouble != _refused(seen.refusal.final):
        reason = _refused(seen.refusal.final)
        yield fact(about, reason, seen.refusal.message, status=Status.FALSE)


def _refused(final: bool) -> Reason:  # noqa: FBT001 - a truth value is the whole argument
    return Reason.JOB_REJECTED if final else Reason.JOB_FORBIDDEN


def _of_a_rejected_job(_: State, seen: Observation) -> Iterator[Fact]:
    if seen.refusal and seen.refusal.final:
        message = f"The API server does not accept the Job: {seen.refusal.message}"
        yield failure(Reason.JOB_REJECTED, message)


def _of_a_failed_job(_: State, seen: Observation) -> Iterator[Fact]:
    if seen.job and seen.job.failed:
        yield failure(Reason.JOB_FAILED, f"The Job failed: {seen.job.message}")
    elif seen.job and seen.job.complete:
        yield failure(Reason.JOB_FAILED, f"The Job ended, and nothing was {_done(seen)}")


def _of_a_lost_job(state: State, seen: Observation) -> Iterator[Fact]:
    lost = seen.job is None or seen.job.deleting or seen.job.uid != state.job_uid
    if state.job_uid and lost:
        yield failure(Reason.JOB_DELETED, "The Job was deleted by something else than Isola")


def _of_a_deadline(state: State, seen: Observation) -> Iterator[Fact]:
    if state.accepted_at and seen.now >= state.accepted_at + seen.timeout:
        why = seen.job.message if seen.job else state.trouble
        seconds = seen.timeout.total_seconds()
        message = f"Not {_done(seen)} within {seconds:g} s (spec.timeoutSeconds)"
        yield failure(Reason.DEADLINE_EXCEEDED, f"{message}: {why}" if why else message)


def _done(seen: Observation) -> str:
    return "adopted" if seen.adopts else "stored"


# The first that holds is the cause.
FAILURES: tuple[Rule, ...] = (
    _of_a_rejected_job,
    _of_a_failed_job,
    _of_a_lost_job,
    _of_a_deadline,
)


# --- once it ended -----------------------------------------------------------------------------


def replacement(state: State, seen: Observation) -> Iterator[Fact]:
    """Yield that the object in the bucket is another snapshot's by now."""
    stored = state.stored
    for other in seen.namesakes:
        if stored and other.stored_at and other.stored_at > stored.at:
            message = f"RootfsSnapshot {other.name} took the place of this one in the bucket"
            data = {Key.REPLACED_BY: other.name}
            yield fact(Type.STORED, Reason.OBJECT_REPLACED, message, data, status=Status.FALSE)
            return
