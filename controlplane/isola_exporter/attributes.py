"""Attributes by OpenTelemetry's semantic conventions where these have a word, else `isola.*`."""

from __future__ import annotations

from isola_exporter.model import Attributes, Severity, Subject
from isola_lifecycle import naming
from isola_lifecycle.log import Condition, Status
from isola_lifecycle.sandbox.conditions import Key, Reason, Type
from isola_lifecycle.sandbox.fold import State

# Keys of `data` for which the conventions have a word too.
_WORDS: dict[str, str] = {
    Key.CONTAINER: "k8s.container.name",
    Key.EXIT_CODE: "process.exit.code",
    Key.POD_IP: "k8s.pod.ip",
}

# What comes with every ordinary end and is nobody's trouble.
_ORDINARY = frozenset({Reason.COMPLETED, Reason.SANDBOX_ENDED})


def of_subject(subject: Subject, state: State) -> dict[str, str | int]:
    """Return what every span and record of a life says of its sandbox."""
    known: dict[str, str | int] = {
        "isola.sandbox.name": subject.name,
        "isola.sandbox.uid": subject.uid,
        "isola.state": state.phase.value,
        "k8s.namespace.name": subject.namespace,
    }
    if state.pod_uid:
        known["k8s.pod.name"] = naming.pod_name(subject.name)
        known["k8s.pod.uid"] = state.pod_uid
    if state.node:
        known["k8s.node.name"] = state.node
    return known


def of_entry(subject: Subject, state: State, entry: Condition) -> Attributes:
    """Return the attributes of an entry's record: with them and its message nothing is lost."""
    told: dict[str, str | int] = of_subject(subject, state)
    told |= {
        "isola.sequence": entry.sequence,
        "isola.type": entry.type,
        "isola.status": str(entry.status),
        "isola.reason": entry.reason,
        "isola.actor": entry.actor,
        "isola.generation": entry.observed_generation,
        "isola.digest": entry.digest,
    }
    if entry.request_id:
        told["isola.request_id"] = entry.request_id
    for key, value in entry.data.items():
        told[f"isola.data.{key}"] = value
        if word := _WORDS.get(key):
            told[word] = int(value) if value.isdecimal() else value
    return told


def severity(entry: Condition) -> Severity:
    """Return how much an entry is worth a look."""
    if entry.type == Type.SUCCEEDED and entry.status == Status.FALSE:
        return Severity.ERROR
    if entry.type == Type.CONTAINER_EXITED:
        return Severity.INFO if entry.reason == Reason.COMPLETED else Severity.WARN
    if entry.status == Status.TRUE or entry.reason in _ORDINARY:
        return Severity.INFO
    return Severity.WARN
