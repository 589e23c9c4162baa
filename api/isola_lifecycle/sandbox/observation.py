"""The world of one sandbox at one instant: what was seen, not what it means.

Time is a field here. `decide` has no other clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from isola_lifecycle.archive import Moved
from isola_lifecycle.sandbox.network import NOTHING, Network


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
        sidecar_ready: Whether the injected sidecar runs and is ready.
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
    sidecar_ready: bool = False
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


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server's no to the creation of the pod.

    Attributes:
        final: Whether it would say no again (`Invalid`), unlike a quota that may be freed.
        message: What it said.
    """

    final: bool
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Everything that a decision about one sandbox may depend on, beside its log.

    Attributes:
        now: The instant, UTC.
        deleting: Whether the Sandbox carries a deletion timestamp.
        finalizer: Whether it carries our finalizer.
        startup_timeout: How long it may take to become ready for the first time.
        lifetime: How long it may exist, or None.
        spec_faults: What makes the spec one that can never run.
        caller: Who asked for the sandbox, as far as known, or empty.
        request_id: The request that created it, or empty.
        traceparent: Its trace context (W3C Trace Context), or empty.
        network: What the specification says it may reach.
        network_faults: What of the settings that somebody wants cannot be given.
        ranges_unknown: Why it is not known where this cluster's own addresses lie, or empty.
        policy: Name of the NetworkPolicy that its settings ask for, or empty for none.
        policy_current: Whether its NetworkPolicy, or the lack of one, is what its settings ask.
        policy_applied: Whether that was just brought about.
        policy_refusal: Why the API server would not take the policy just now, or empty.
        pod: Its pod, or None where there is none.
        refusal: The answer to an attempt to create the pod just now, or None.
        forced: Whether the pod was just removed without the word of its node.
        moved: Oldest entries of the log that the archive was just made sure to have, or None.
        recorded: Whether the archive was just made sure to have the whole log.
        archive_refusal: Why the archive would not take something just now, or empty.
        warned: Whether those who run the cluster were just told of an archive given up.
    """

    now: datetime
    deleting: bool = False
    finalizer: bool = True
    startup_timeout: timedelta = timedelta(seconds=90)
    lifetime: timedelta | None = None
    spec_faults: tuple[str, ...] = ()
    caller: str = ""
    request_id: str = ""
    traceparent: str = ""
    network: Network = NOTHING
    network_faults: tuple[str, ...] = ()
    ranges_unknown: str = ""
    policy: str = ""
    policy_current: bool = True
    policy_applied: bool = False
    policy_refusal: str = ""
    pod: Pod | None = None
    refusal: Refusal | None = None
    forced: bool = False
    moved: Moved | None = None
    recorded: bool = False
    archive_refusal: str = ""
    warned: bool = False
