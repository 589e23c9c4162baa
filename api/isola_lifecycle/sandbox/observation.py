"""The world of one sandbox at one instant: what was seen, not what it means.

Time is a field here. `decide` has no other clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from isola_lifecycle.sandbox.network import NOTHING, Network
from isola_lifecycle.sandbox.sources import Source
from isola_lifecycle.seen import Seen


class PodPhase(StrEnum):
    """`status.phase` of a pod."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One user container, from `status.containerStatuses`; the sidecar is not among them.

    Attributes:
        name: Its name.
        image: As the template has it.
        id: As the kubelet tells it: `containerd://9f86d0…`, or empty.
        image_id: The image as the node resolved it: with the digest, or empty.
        waiting_reason: Why the kubelet has not started it, or empty.
        waiting_message: Likewise, for people.
        running: Whether it runs.
        ready: Whether the kubelet counts it as ready.
        exit_code: Of its main process, or None while it has not ended.
        exit_reason: The kubelet's word for the end (`Completed`, `Error`, `OOMKilled` …), or empty.
        exit_message: Likewise, for people.
    """

    name: str
    image: str = ""
    id: str = ""
    image_id: str = ""
    waiting_reason: str = ""
    waiting_message: str = ""
    running: bool = False
    ready: bool = False
    exit_code: int | None = None
    exit_reason: str = ""
    exit_message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """The sandbox's pod.

    Attributes:
        name: Its name.
        uid: Its UID.
        phase: `status.phase`.
        deleting: Whether it carries a deletion timestamp.
        deletion_due: That timestamp: when its grace period is over and it should be gone.
        node: `spec.nodeName`, or empty.
        ip: `status.podIP`, or empty.
        ready: Whether its condition `Ready` is True.
        unreachable: Whether `Ready` was taken from it although all its containers are ready.
        sidecar_certificate: SHA-256 of the certificate that its sidecar was given, hexadecimal, or
            empty.
        sidecar_ready: Whether the injected sidecar runs and is ready.
        unenforced: What the gate of its network still reached when it gave up, or empty.
        unrestorable: What the gate found instead of gVisor, or empty.
        unschedulable: The scheduler's message while it finds no node, or empty.
        disruption: Message of its condition `DisruptionTarget`, or empty.
        disruption_reason: Reason of that condition, or empty.
        reason: `status.reason` (`Evicted` …), or empty.
        message: `status.message`, or empty.
        containers: User containers, in the order of the template.
    """

    name: str
    uid: str
    phase: PodPhase = PodPhase.PENDING
    deleting: bool = False
    deletion_due: datetime | None = None
    node: str = ""
    ip: str = ""
    ready: bool = False
    unreachable: bool = False
    sidecar_certificate: str = ""
    sidecar_ready: bool = False
    unenforced: str = ""
    unrestorable: str = ""
    unschedulable: str = ""
    disruption: str = ""
    disruption_reason: str = ""
    reason: str = ""
    message: str = ""
    containers: tuple[Container, ...] = ()

    @property
    def ended(self) -> bool:
        """Return whether every container has ended for good."""
        return self.phase in {PodPhase.SUCCEEDED, PodPhase.FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepsake:
    """The snapshot of a container that the termination policy wants.

    Attributes:
        container: Of which container.
        name: Of the RootfsSnapshot.
        there: Whether it exists, and is ours.
        obstacle: Why it cannot be created, or empty.
        succeeded: Whether it ended well, or None before it ended.
        message: How it ended, or empty.
    """

    container: str
    name: str
    there: bool = False
    obstacle: str = ""
    succeeded: bool | None = None
    message: str = ""

    @property
    def ended(self) -> bool:
        """Return whether nothing more comes of it."""
        return self.succeeded is not None or bool(self.obstacle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation(Seen):
    """Everything that a decision about one sandbox may depend on, beside its log.

    Attributes:
        startup_timeout: How long it may take to become ready for the first time.
        lifetime: How long it may exist, or None.
        spec_faults: What makes the spec one that can never run.
        network: What the specification says it may reach.
        network_faults: What of the settings that somebody wants cannot be given.
        ranges_unknown: Why it is not known where this cluster's own addresses lie, or empty.
        policy: Name of the NetworkPolicy that its settings ask for, or empty for none.
        door: The door that its NetworkPolicy should have at present, or empty.
        policy_current: Whether its NetworkPolicy, or the lack of one, is what its settings ask.
        policy_ajar: Whether a door that has had its time is all that keeps it from being so.
        policy_applied: Whether that was just brought about.
        policy_refusal: Why the API server would not take the policy just now, or empty.
        pod: Its pod, or None where there is none.
        keeps_for: How long its removal waits for the snapshots that its termination policy wants,
            or None where it wants none.
        keepsakes: These snapshots.
        snapshots_enabled: Whether this installation takes any.
        forced: Whether the pod was just removed without the word of its node.
        sources: The snapshots that its containers start from.
    """

    startup_timeout: timedelta = timedelta(seconds=90)
    lifetime: timedelta | None = None
    spec_faults: tuple[str, ...] = ()
    network: Network = NOTHING
    network_faults: tuple[str, ...] = ()
    ranges_unknown: str = ""
    policy: str = ""
    door: str = ""
    policy_current: bool = True
    policy_ajar: bool = False
    policy_applied: bool = False
    policy_refusal: str = ""
    pod: Pod | None = None
    keeps_for: timedelta | None = None
    keepsakes: tuple[Keepsake, ...] = ()
    snapshots_enabled: bool = False
    forced: bool = False
    sources: tuple[Source, ...] = ()
