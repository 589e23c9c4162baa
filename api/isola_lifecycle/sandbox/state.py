"""What is known of a sandbox, and how that is carried over the place where its log was cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from isola_lifecycle import projection
from isola_lifecycle.codec import decode_time
from isola_lifecycle.durations import span
from isola_lifecycle.sandbox.conditions import Phase
from isola_lifecycle.sandbox.network import Network


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


@dataclass(frozen=True, slots=True)
class Door:
    """One rule more in the policy, which belongs to one change: who gets through sees it in force.

    Attributes:
        address: Where it leads: an address and a port.
        opened_at: When.
        closed: Whether the policy should be without it again.
        seen: Whether somebody got through.
    """

    address: str
    opened_at: datetime
    closed: bool = False
    seen: bool = False


@dataclass(frozen=True, slots=True)
class Staging:
    """What was last told of the archive that a container starts from.

    Attributes:
        container: Its name.
        staged: Whether the archive is on the node, verified.
        reason: As recorded.
        message: As recorded, while it is not staged; or empty.
        sha256: Of the archive, hex, once it is.
        image_id: The base image that it belongs onto, as a node resolved it, or empty.
    """

    container: str
    staged: bool
    reason: str
    message: str = ""
    sha256: str = ""
    image_id: str = ""


class State(NamedTuple):
    """A sandbox, as far as its log tells.

    Attributes:
        accepted_at: When the operator took it on, or None.
        pod_uid: UID of the one pod this sandbox ever has, or empty before it exists.
        sidecar_certificate: SHA-256 of the certificate that its sidecar proves itself with,
            hexadecimal; empty where that is of a release that spoke plain HTTP.
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
        snapshot_requested_at: When the snapshots of its termination policy were called for, or
            None.
        snapshotted: Whether these were kept, or given up.
        terminated_at: When nothing was left of it, or None.
        unarchived: Whether the archive of this log was given up.
        network: What somebody set its network to, or None for the specification's.
        network_asked: What somebody wants it to be, as long as nobody answered; or None.
        network_configured: Whether its network is as its settings say.
        network_told: Reason of the newest entry about that, or empty since a change was asked for.
        network_change: Number of the entry that asked for the newest change, or 0.
        network_door: The door of the newest change that was carried out, or None.
        staging: What was told of the archives that it starts from, one a container.
    """

    accepted_at: datetime | None = None
    pod_uid: str = ""
    sidecar_certificate: str = ""
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
    snapshot_requested_at: datetime | None = None
    snapshotted: bool = False
    terminated_at: datetime | None = None
    unarchived: bool = False
    network: Network | None = None
    network_asked: Network | None = None
    network_configured: bool = False
    network_told: str = ""
    network_change: int = 0
    network_door: Door | None = None
    staging: tuple[Staging, ...] = ()

    def staging_of(self, container: str) -> Staging | None:
        """Return what was last told of the archive that a container starts from, or None."""
        return next((each for each in self.staging if each.container == container), None)

    @property
    def terminated(self) -> bool:
        """Return whether nothing is left of it."""
        return self.terminated_at is not None

    def lifetime(self, promised: timedelta | None) -> timedelta | None:
        """Return how long it may exist, where its specification says `promised`."""
        return self.changed_lifetime or promised

    def deadline(self, promised: timedelta | None) -> datetime | None:
        """Return when its lifetime is over, or None where it has no limit or has not begun."""
        lifetime = self.lifetime(promised)
        return self.accepted_at + lifetime if self.accepted_at and lifetime else None

    def network_in_force(self, promised: Network) -> Network:
        """Return what it can reach, where its specification says `promised`."""
        return promised if self.network is None else self.network

    def network_wanted(self, promised: Network) -> Network:
        """Return what it should be able to reach, where its specification says `promised`."""
        return next(n for n in (self.network_asked, self.network, promised) if n is not None)

    @property
    def network_pending(self) -> bool:
        """Return whether a change waits to be carried out, or to be seen in force."""
        return self.network_asked is not None or bool(self.door_wanted(""))

    @property
    def network_unseen(self) -> bool:
        """Return whether the newest change was carried out, and nobody saw it in force."""
        door = self.network_door
        return self.network_asked is None and bool(door and door.closed and not door.seen)

    def door_wanted(self, offered: str) -> str:
        """Return which door its policy should have, or empty; `offered` is one for a new change."""
        if self.network_asked is not None:
            return offered
        door = self.network_door
        return door.address if door and not door.closed else ""

    @property
    def phase(self) -> Phase:
        """Return the state in one word; the first that holds wins, as in the REST contract."""
        if self.outcome:
            return Phase.SUCCEEDED if self.outcome.succeeded else Phase.FAILED
        if self.termination_requested:
            return Phase.TERMINATING
        return Phase.RUNNING if self.ready else Phase.PENDING


def carried(state: State) -> dict[str, str] | None:
    """Return `state` as `data` of an entry from which a fold can go on; None if it is too long."""
    return projection.carried(state, State())


def restored(data: Mapping[str, str]) -> State | None:
    """Return the state that `data` of an entry carries, or None where it carries none."""
    return projection.restored(data, State(), _RESTORE)


def _outcome(told: list[Any]) -> Outcome:
    succeeded, reason, message, at, exit_code = told
    return Outcome(succeeded, reason, message, decode_time(at), exit_code)


def _network(told: list[Any]) -> Network:
    # Fields in their order: what a newer release adds comes last.
    names = [field.name for field in fields(Network)]
    values: list[Any] = [tuple(each) if isinstance(each, list) else each for each in told]  # pyright: ignore[reportUnknownArgumentType]
    return Network(**dict(zip(names, values, strict=False)))


def _door(told: list[Any]) -> Door:
    address, opened_at, closed, seen = told
    return Door(address, decode_time(opened_at), closed, seen)


def _staging(told: list[Any]) -> tuple[Staging, ...]:
    return tuple(Staging(*each) for each in told)


_RESTORE: Mapping[str, Callable[[Any], Any]] = {
    "accepted_at": decode_time,
    "trouble": lambda told: Trouble(*told),
    "exited": frozenset,
    "changed_lifetime": span,
    "outcome": _outcome,
    "snapshot_requested_at": decode_time,
    "terminated_at": decode_time,
    "network": _network,
    "network_asked": _network,
    "network_door": _door,
    "staging": _staging,
}
