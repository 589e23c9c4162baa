"""How the operator says what it sees: the facts that several rules have in common."""

from __future__ import annotations

from collections.abc import Iterator

from isola_lifecycle.catalogue import OPERATOR
from isola_lifecycle.log import Fact, Status
from isola_lifecycle.sandbox.conditions import Key, Reason, Type
from isola_lifecycle.sandbox.fold import State
from isola_lifecycle.sandbox.observation import Observation


def fact(
    about: Type,
    reason: str,
    message: str,
    data: dict[Key, str] | None = None,
    *,
    status: Status = Status.TRUE,
) -> Fact:
    """Return a fact of the operator's."""
    return Fact(
        type=about.value,
        status=status,
        reason=str(reason),
        message=message,
        actor=OPERATOR,
        data={key.value: value for key, value in (data or {}).items()},
    )


def not_ready(state: State, message: str, reason: Reason = Reason.SANDBOX_ENDED) -> Iterator[Fact]:
    """Yield that the sandbox is not ready, where the log says that it is."""
    if state.ready:
        yield fact(Type.READY, reason, message, status=Status.FALSE)


def closing(
    state: State, reason: str, message: str, data: dict[Key, str] | None = None
) -> Iterator[Fact]:
    """Yield that the sandbox ended, for this reason."""
    well = reason in {Reason.COMPLETED, Reason.LIFETIME_EXCEEDED}
    yield from not_ready(state, message)
    yield fact(Type.SUCCEEDED, reason, message, data, status=Status.of(well))


def is_foreign(state: State, seen: Observation) -> bool:
    """Return whether the pod of that name is not the one this sandbox had."""
    return seen.pod is not None and state.pod_uid not in {"", seen.pod.uid}
