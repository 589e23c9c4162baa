"""The lives of sandboxes."""

from __future__ import annotations

from isola_exporter import metrics
from isola_exporter.model import Severity
from isola_exporter.stories import Story
from isola_lifecycle import naming
from isola_lifecycle.log import Condition, Status
from isola_lifecycle.sandbox.conditions import CATALOGUE, Key, Phase, Reason, Type
from isola_lifecycle.sandbox.fold import SANDBOX as PROJECTION
from isola_lifecycle.sandbox.state import State

# What comes with every ordinary end and is nobody's trouble.
_ORDINARY = frozenset({Reason.COMPLETED, Reason.SANDBOX_ENDED})


def _starting(state: State) -> bool:
    return not state.ever_ready and state.phase == Phase.PENDING


def _about(name: str, state: State) -> dict[str, str]:
    known: dict[str, str] = {}
    if state.pod_uid:
        known["k8s.pod.name"] = naming.pod_name(name)
        known["k8s.pod.uid"] = state.pod_uid
    if state.node:
        known["k8s.node.name"] = state.node
    return known


def _severity(entry: Condition) -> Severity:
    if entry.type == Type.SUCCEEDED and entry.status == Status.FALSE:
        return Severity.ERROR
    if entry.type == Type.CONTAINER_EXITED:
        return Severity.INFO if entry.reason == Reason.COMPLETED else Severity.WARN
    if entry.status == Status.TRUE or entry.reason in _ORDINARY:
        return Severity.INFO
    return Severity.WARN


def _over(state: State) -> bool:
    return state.terminated


SANDBOX = Story(
    resource=naming.SANDBOX,
    noun="sandbox",
    title="sandbox",
    projection=PROJECTION,
    phases=Phase,
    catalogue=CATALOGUE,
    over=_over,
    steps={
        Type.POD_CREATED: "create pod",
        Type.SCHEDULED: "schedule",
        Type.STARTED: "start containers",
        Type.READY: "become ready",
    },
    starting=_starting,
    about=_about,
    words={
        Key.CONTAINER: "k8s.container.name",
        Key.EXIT_CODE: "process.exit.code",
        Key.POD_IP: "k8s.pod.ip",
    },
    severity=_severity,
    metrics=metrics.SANDBOX,
)
