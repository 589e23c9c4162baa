"""What a sandbox's log amounts to.

Rules of this file
    - Total: every prefix of every log folds. An unknown type, or a reason that this release does
      not know, leaves the state as it is, so an older consumer survives a newer writer.
    - No policy: it says what is, never what is to be done.
    - `Succeeded` and `TerminationRequested` are latches: the first one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from typing import Any, NamedTuple

from isola_lifecycle.codec import sealed
from isola_lifecycle.durations import span
from isola_lifecycle.log import Condition, Fact, Log, Status, numbered
from isola_lifecycle.sandbox.conditions import Key, Phase, Reason, Type


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that keeps the sandbox from running; it may pass.

    Attributes:
        reason: As recorded.
        message: As recorded.
        container: Which container, or empty for the whole sandbox.
    """

    reason: str
    message: str
    container: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the sandbox ended.

    Attributes:
        succeeded: Whether it ended well.
        reason: As recorded.
        message: As recorded.
        at: When it was recorded.
        exit_code: Of the container that decided it, or None.
    """

    succeeded: bool
    reason: str
    message: str
    at: datetime
    exit_code: int | None = None


class State(NamedTuple):
    """A sandbox, as far as its log tells.

    A named tuple, because it is copied once an entry: three times as fast as a dataclass.

    Attributes:
        accepted_at: When the operator took it on, or None.
        pod_uid: UID of the one pod this sandbox ever has, or empty before it exists.
        node: Name of the node, or empty.
        trouble: What is in the way of running at present, or None.
        started: Whether all containers were started.
        ready: Whether commands are accepted.
        ever_ready: Whether they ever were.
        unreachable: Whether readiness was lost because the node does not answer.
        pod_ip: Where, or empty.
        exited: Names of the containers whose exit is recorded.
        changed_lifetime: What somebody set its lifetime to, or None for the specification's.
        outcome: How it ended, or None.
        termination_requested: Whether somebody asked for its end.
        terminated: Whether nothing is left of it.
    """

    accepted_at: datetime | None = None
    pod_uid: str = ""
    node: str = ""
    trouble: Trouble | None = None
    started: bool = False
    ready: bool = False
    ever_ready: bool = False
    unreachable: bool = False
    pod_ip: str = ""
    exited: frozenset[str] = frozenset()
    changed_lifetime: timedelta | None = None
    outcome: Outcome | None = None
    termination_requested: bool = False
    terminated: bool = False

    def lifetime(self, promised: timedelta | None) -> timedelta | None:
        """Return how long it may exist, where its specification says `promised`."""
        return self.changed_lifetime or promised

    def deadline(self, promised: timedelta | None) -> datetime | None:
        """Return when its lifetime is over, or None where it has no limit or has not begun."""
        lifetime = self.lifetime(promised)
        return self.accepted_at + lifetime if self.accepted_at and lifetime else None

    @property
    def phase(self) -> Phase:
        """Return the state in one word; the first that holds wins, as in the REST contract."""
        if self.outcome:
            return Phase.SUCCEEDED if self.outcome.succeeded else Phase.FAILED
        if self.termination_requested:
            return Phase.TERMINATING
        return Phase.RUNNING if self.ready else Phase.PENDING


def fold(conditions: Iterable[Condition]) -> State:
    """Return the state that a whole log, oldest entry first, amounts to."""
    return reduce(evolve, conditions, State())


def evolve(state: State, entry: Condition) -> State:
    """Return the state after one more entry."""
    changes = _changes(state, entry)
    return state._replace(**changes) if changes else state


def _changes(state: State, entry: Condition) -> dict[str, Any]:  # noqa: C901 - a table of types
    holds = entry.status == Status.TRUE
    match entry.type:
        case Type.READY:
            return _readiness(state, entry, ready=holds)
        case Type.ACCEPTED if state.accepted_at is None:
            return {"accepted_at": entry.last_transition_time}
        case Type.POD_CREATED if holds:
            return {"pod_uid": entry.data.get(Key.POD_UID, ""), "trouble": None}
        case Type.SCHEDULED if holds:
            return {"node": entry.data.get(Key.NODE, ""), "trouble": None}
        case Type.STARTED if holds:
            return {"started": True, "trouble": None}
        case Type.POD_CREATED | Type.SCHEDULED | Type.STARTED:
            return {"trouble": _trouble(entry)}
        case Type.CONTAINER_EXITED:
            return {"exited": state.exited | {entry.data.get(Key.CONTAINER, "")}}
        case Type.TIMEOUT_CHANGED:
            return _changed_lifetime(entry)
        case Type.SUCCEEDED if state.outcome is None:
            return {"outcome": _outcome(entry), "ready": False}
        case Type.TERMINATION_REQUESTED:
            return {"termination_requested": True}
        case Type.TERMINATED:
            return {"terminated": True, "ready": False}
        case _:
            return {}


def extend(
    log: Log, facts: Iterable[Fact], *, at: datetime, generation: int
) -> tuple[Condition, ...]:
    """Return `facts` as the next entries of `log`: numbered, dated, with their phase, sealed.

    `data.phase` is the phase that the log amounts to with that entry. `kubectl get` cannot fold,
    so the word is written down for it; nothing of ours reads it, and a test holds it to the fold.
    """
    state, previous = fold(log), log.head
    entries: list[Condition] = []
    for sequence, fact in enumerate(facts, start=log.version + 1):
        entry = numbered(fact, sequence, at=at, generation=generation)
        state = evolve(state, entry)
        data: Mapping[str, str] = {Key.PHASE.value: state.phase.value, **entry.data}
        entry = sealed(replace(entry, data=data), previous)
        previous = entry.digest
        entries.append(entry)
    return tuple(entries)


def _trouble(entry: Condition) -> Trouble:
    return Trouble(entry.reason, entry.message, entry.data.get(Key.CONTAINER, ""))


def _readiness(state: State, entry: Condition, *, ready: bool) -> dict[str, Any]:
    return {
        "ready": ready,
        "ever_ready": state.ever_ready or ready,
        "unreachable": not ready and entry.reason == Reason.NODE_UNREACHABLE,
        "pod_ip": entry.data.get(Key.POD_IP, state.pod_ip),
    }


def _outcome(entry: Condition) -> Outcome:
    code = entry.data.get(Key.EXIT_CODE, "")
    return Outcome(
        succeeded=entry.status == Status.TRUE,
        reason=entry.reason,
        message=entry.message,
        at=entry.last_transition_time,
        exit_code=int(code) if _is_integer(code) else None,
    )


def _changed_lifetime(entry: Condition) -> dict[str, Any]:
    text = entry.data.get(Key.TIMEOUT_SECONDS, "")
    seconds = int(text) if text.isdecimal() else 0
    return {"changed_lifetime": span(seconds)} if seconds else {}


def _is_integer(text: str) -> bool:
    # No log may make the fold raise, and `int` does on what is not a number.
    return text.removeprefix("-").isdecimal()
