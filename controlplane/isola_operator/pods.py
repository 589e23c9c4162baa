"""A pod as Kubernetes has it, read into what the kernel looks at. Total, and without judgement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isola_lifecycle.naming import (
    CERTIFICATE_VARIABLE,
    GATE_NOT_ENFORCED,
    SIDECAR_CONTAINER,
    STAGED_CONTAINER,
    STAGED_NOT_GVISOR,
)
from isola_lifecycle.sandbox.observation import Container, Pod, PodPhase
from isola_operator.credentials import fingerprint

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OwnedPod:
    """A pod and whom it belongs to.

    Attributes:
        pod: What the kernel looks at.
        owner_uid: UID of the controlling Sandbox, or empty.
    """

    pod: Pod
    owner_uid: str

    @property
    def name(self) -> str:
        """Return the pod's name."""
        return self.pod.name


def decode_pod(item: Json) -> OwnedPod:
    """Return the pod that a Kubernetes object stands for."""
    metadata, spec, status = item["metadata"], item.get("spec", {}), item.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions", ())}
    scheduled = conditions.get("PodScheduled", {})
    disruption = _if_true(conditions.get("DisruptionTarget", {}))
    pod = Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        phase=_phase(status),
        deleting="deletionTimestamp" in metadata,
        deletion_due=_time(metadata.get("deletionTimestamp")),
        node=spec.get("nodeName", ""),
        ip=status.get("podIP", ""),
        ready=conditions.get("Ready", {}).get("status") == "True",
        unreachable=_unreachable(conditions),
        sidecar_certificate=_sidecar_certificate(spec),
        sidecar_ready=_sidecar_ready(status),
        unenforced=_unenforced(status),
        unrestorable=_unrestorable(status),
        unschedulable=_unschedulable(scheduled),
        disruption=disruption.get("message", ""),
        disruption_reason=disruption.get("reason", ""),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        containers=_containers(spec, status),
    )
    return OwnedPod(pod, _owner_uid(metadata))


def _phase(status: Json) -> PodPhase:
    try:
        return PodPhase(status.get("phase", "Pending"))
    except ValueError:
        return PodPhase.UNKNOWN


def _owner_uid(metadata: Json) -> str:
    owners = metadata.get("ownerReferences", ())
    return next((o["uid"] for o in owners if o.get("controller")), "")


def _sidecar_certificate(spec: Json) -> str:
    # From the pod that is there: another operator may have made it, and died before it said so.
    sidecars = [c for c in spec.get("initContainers", ()) if c["name"] == SIDECAR_CONTAINER]
    given = [each for c in sidecars for each in c.get("env", ())]
    told = (e.get("value", "") for e in given if e["name"] == CERTIFICATE_VARIABLE)
    return fingerprint(next(told, ""))


def _sidecar_ready(status: Json) -> bool:
    statuses = status.get("initContainerStatuses", ())
    return any(s["name"] == SIDECAR_CONTAINER and s.get("ready", False) for s in statuses)


def _unenforced(status: Json) -> str:
    ended = _end_of(SIDECAR_CONTAINER, GATE_NOT_ENFORCED, status)
    # A kubelet starts sidecars anew, and the next one may have seen it in force: only then did
    # anything of the user's start.
    began = _starts(status)
    return _told(ended) if ended and (not began or min(began) < ended["finishedAt"]) else ""


def _starts(status: Json) -> list[str]:
    containers: list[Json] = status.get("containerStatuses", [])
    times: list[str] = []
    for each in containers:
        state: Json = each.get("state", {})
        began: Json = state.get("running") or state.get("terminated") or {}
        times += filter(None, [began.get("startedAt")])
    return times


def _unrestorable(status: Json) -> str:
    ended = _end_of(STAGED_CONTAINER, STAGED_NOT_GVISOR, status)
    return _told(ended) if ended else ""


def _end_of(container: str, code: int, status: Json) -> Json | None:
    statuses: list[Json] = status.get("initContainerStatuses", [])
    for each in statuses:
        for when in ("state", "lastState"):
            ended: Json = each.get(when, {}).get("terminated", {})
            if each["name"] == container and ended.get("exitCode") == code:
                return ended
    return None


def _told(ended: Json) -> str:
    return str(ended.get("message", "")).strip() or "what it saw is not known"


def _unschedulable(condition: Json) -> str:
    failed = condition.get("status") == "False"
    return condition.get("message", "no reason given") if failed else ""


def _unreachable(conditions: Mapping[str, Json]) -> bool:
    # A kubelet writes both conditions at once. Readiness goes alone where a gate is closed, or
    # where the node controller took it: it has not heard of the node (`MarkPodsNotReady`).
    ready, containers = conditions.get("Ready", {}), conditions.get("ContainersReady", {})
    return (
        ready.get("status") == "False"
        and containers.get("status") == "True"
        and ready.get("reason") != "ReadinessGatesNotReady"
    )


def _if_true(condition: Json) -> Json:
    return condition if condition.get("status") == "True" else {}


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _containers(spec: Json, status: Json) -> tuple[Container, ...]:
    statuses = {s["name"]: s for s in status.get("containerStatuses", ())}
    return tuple(
        _container(c["name"], c.get("image", ""), statuses.get(c["name"], {}))
        for c in spec.get("containers", ())
    )


def _container(name: str, image: str, status: Json) -> Container:
    state = status.get("state", {})
    waiting, ended = state.get("waiting", {}), state.get("terminated", {})
    return Container(
        name=name,
        image=image,
        id=status.get("containerID", ""),
        image_id=status.get("imageID", ""),
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        running="running" in state,
        ready=status.get("ready", False),
        exit_code=ended.get("exitCode"),
        exit_reason=ended.get("reason", ""),
        exit_message=ended.get("message", ""),
    )
