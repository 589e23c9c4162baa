"""What a sandbox's log amounts to.

Rules of this file
    - Total: every prefix of every log folds. An unknown type, or a reason that this release does
      not know, leaves the state as it is, so an older consumer survives a newer writer.
    - No policy: it says what is, never what is to be done.
    - `Succeeded` and `TerminationRequested` are latches: the first one counts.
    - Where older entries were moved to the archive, `Archived` carries what they amount to. In a
      log that is still whole that is what the fold has come to anyway.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from isola_lifecycle.archive import unpacked
from isola_lifecycle.durations import span
from isola_lifecycle.log import Condition, Status
from isola_lifecycle.projection import Changes, Projection
from isola_lifecycle.sandbox.conditions import Key, Reason, Type
from isola_lifecycle.sandbox.network import network_of
from isola_lifecycle.sandbox.state import Door, Outcome, Staging, State, Trouble, restored

_NETWORK_TROUBLES = frozenset({Reason.CLUSTER_RANGES_UNKNOWN, Reason.POLICY_REJECTED})


def _changes(state: State, entry: Condition) -> Changes:  # noqa: C901, PLR0912 - a table
    holds = entry.status == Status.TRUE
    match entry.type:
        case Type.READY:
            return _readiness(state, entry, ready=holds)
        case Type.ACCEPTED if state.accepted_at is None:
            return {"accepted_at": entry.last_transition_time}
        case Type.NETWORK_CONFIGURED:
            return _network(state, entry) if holds else _no_network(state, entry)
        case Type.POD_CREATED if holds:
            return _created(entry)
        case Type.SCHEDULED if holds:
            return {"node": entry.data.get(Key.NODE, ""), "trouble": None}
        case Type.ROOTFS_STAGED:
            return _staging(state, entry, staged=holds)
        case Type.STARTED if holds:
            return {"started": True, "trouble": None}
        case Type.POD_CREATED | Type.SCHEDULED | Type.STARTED:
            return {"trouble": _trouble(entry)}
        case Type.CONTAINER_EXITED:
            return {"exited": state.exited | {entry.data.get(Key.CONTAINER, "")}}
        case Type.TIMEOUT_CHANGED:
            return _changed_lifetime(entry)
        case Type.NETWORK_CHANGED:
            return _asked(state, entry)
        case Type.NETWORK_ENFORCED:
            return {"network_door": _closed(state.network_door, seen=holds)}
        case Type.SUCCEEDED if state.outcome is None:
            return {"outcome": _outcome(entry), "ready": False}
        case Type.TERMINATION_REQUESTED:
            return {"termination_requested": True}
        case Type.SNAPSHOT_REQUESTED:
            return {"snapshot_requested_at": entry.last_transition_time}
        case Type.SNAPSHOTTED:
            return {"snapshotted": True}
        case Type.TERMINATED:
            return {"terminated_at": entry.last_transition_time, "ready": False}
        case Type.ARCHIVED:
            return _archived(entry) if holds else {"unarchived": True}
        case _:
            return {}


def _created(entry: Condition) -> Changes:
    return {
        "pod_uid": entry.data.get(Key.POD_UID, ""),
        "sidecar_certificate": entry.data.get(Key.SIDECAR_CERTIFICATE, ""),
        "trouble": None,
    }


def _staging(state: State, entry: Condition, *, staged: bool) -> Changes:
    told = Staging(
        container=entry.data.get(Key.CONTAINER, ""),
        staged=staged,
        reason=entry.reason,
        message="" if staged else entry.message,
        sha256=entry.data.get(Key.SHA256, "") if staged else "",
        image_id=entry.data.get(Key.IMAGE_ID, "") if staged else "",
    )
    others = (each for each in state.staging if each.container != told.container)
    staging = (*others, told)
    # Nothing else is in the way while archives are awaited: no container has been started.
    missing = next((each for each in staging if not each.staged), None)
    trouble = Trouble(missing.reason, missing.message, missing.container) if missing else None
    return {"staging": staging, "trouble": trouble}


def _trouble(entry: Condition) -> Trouble:
    return Trouble(entry.reason, entry.message, entry.data.get(Key.CONTAINER, ""))


def _readiness(state: State, entry: Condition, *, ready: bool) -> Changes:
    return {
        "ready": ready,
        "ever_ready": state.ever_ready or ready,
        "unreachable": not ready and entry.reason == Reason.NODE_UNREACHABLE,
        "pod_ip": entry.data.get(Key.POD_IP, state.pod_ip),
    }


def _asked(state: State, entry: Condition) -> Changes:
    asked = unpacked(entry.data, Key.NETWORK.value)
    if asked is None:
        return {}
    door = state.network_door
    return {
        "network_asked": network_of(asked),
        "network_told": "",
        "network_change": entry.sequence,
        "network_door": _closed(door, seen=bool(door and door.seen)),
    }


def _closed(door: Door | None, *, seen: bool) -> Door | None:
    return door and replace(door, closed=True, seen=seen)


def _network(state: State, entry: Condition) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "network_configured": True,
        "network_told": entry.reason,
        "network_asked": None,
    }
    if state.network_asked is not None:
        address = entry.data.get(Key.DOOR, "")
        changes["network"] = state.network_asked
        changes["network_door"] = Door(address, entry.last_transition_time) if address else None
    if state.trouble and state.trouble.reason in _NETWORK_TROUBLES:
        changes["trouble"] = None
    return changes


def _no_network(state: State, entry: Condition) -> dict[str, Any]:
    told: Changes = {"network_told": entry.reason}
    if entry.reason == Reason.CHANGE_REFUSED:
        return {**told, "network_asked": None}
    return told if state.pod_uid else {**told, "trouble": _trouble(entry)}


def _outcome(entry: Condition) -> Outcome:
    code = entry.data.get(Key.EXIT_CODE, "")
    return Outcome(
        succeeded=entry.status == Status.TRUE,
        reason=entry.reason,
        message=entry.message,
        at=entry.last_transition_time,
        exit_code=int(code) if _is_integer(code) else None,
    )


def _archived(entry: Condition) -> Changes:
    state = restored(entry.data)
    return state._asdict() if state else {}


def _changed_lifetime(entry: Condition) -> Changes:
    text = entry.data.get(Key.TIMEOUT_SECONDS, "")
    seconds = int(text) if text.isdecimal() else 0
    return {"changed_lifetime": span(seconds)} if seconds else {}


def _is_integer(text: str) -> bool:
    # No log may make the fold raise, and `int` does on what is not a number.
    return text.removeprefix("-").isdecimal()


SANDBOX = Projection(State(), _changes, lambda state: state.phase.value)

fold = SANDBOX.fold
evolve = SANDBOX.evolve
extend = SANDBOX.extend
