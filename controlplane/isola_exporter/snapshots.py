"""The lives of root file system snapshots.

A snapshot's trace is its own; it is linked to the life of the sandbox that it is taken of, beside
the request that asked for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from isola_exporter import metrics
from isola_exporter.metrics import Value
from isola_exporter.model import Ids, Kind, Link, Severity
from isola_exporter.stories import Story
from isola_lifecycle import naming
from isola_lifecycle.log import Condition, Status
from isola_lifecycle.snapshot.conditions import CATALOGUE, Key, Phase, Reason, Type
from isola_lifecycle.snapshot.fold import SNAPSHOT as PROJECTION
from isola_lifecycle.snapshot.state import State

_SAMPLED = 1

# What somebody wanted, and is nobody's trouble.
_ORDINARY = frozenset({Reason.OBJECT_REPLACED})

CAPTURE, UPLOAD = "capture", "upload"
_DURATIONS = {Type.CAPTURED: CAPTURE, Type.STORED: UPLOAD}
_SIZES = {
    (Type.CAPTURED, Key.BYTES): "archive",
    (Type.STORED, Key.STORED_BYTES): "object",
}


def _starting(state: State) -> bool:
    return state.outcome is None


def _over(state: State) -> bool:
    return state.over


def _about(_: str, state: State) -> dict[str, str]:
    source = state.source
    if source is None:
        return {}
    known = {
        "isola.rootfs_snapshot.sandbox_uid": source.sandbox_uid,
        "k8s.node.name": source.node,
        "k8s.container.name": source.container,
        "container.image.name": source.image,
    }
    return {key: value for key, value in known.items() if value}


def _severity(entry: Condition) -> Severity:
    if entry.status == Status.TRUE or entry.reason in _ORDINARY:
        return Severity.INFO
    ended = entry.type == Type.SUCCEEDED and entry.reason != Reason.CANCELLED
    return Severity.ERROR if ended else Severity.WARN


def _links(entry: Condition) -> tuple[Link, ...]:
    uid = entry.data.get(Key.SANDBOX_UID, "") if entry.type == Type.ACCEPTED else ""
    if not uid:
        return ()
    life = Ids(uid)
    return (Link(life.trace, life.span(Kind.LIFE, 1), _SAMPLED, entry.sequence),)


def _values(entry: Condition) -> Iterator[Value]:
    if entry.status != Status.TRUE:
        return
    step = next((name for about, name in _DURATIONS.items() if about == entry.type), "")
    seconds = _number(entry.data.get(Key.SECONDS, ""))
    if step and seconds is not None:
        yield Value(metrics.WORK, seconds, (step,))
    for (about, key), form in _SIZES.items():
        size = _number(entry.data.get(key, "")) if about == entry.type else None
        if size is not None:
            yield Value(metrics.BYTES, size, (form,))


def _number(text: str) -> float | None:
    # Whoever may write a log may write anything there.
    return float(text) if _NUMBER.fullmatch(text) else None


_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,9})?")

SNAPSHOT = Story(
    resource=naming.ROOTFS_SNAPSHOT,
    noun="rootfs_snapshot",
    title="rootfs snapshot",
    projection=PROJECTION,
    phases=Phase,
    catalogue=CATALOGUE,
    over=_over,
    steps={Type.CAPTURING: "create job", Type.CAPTURED: CAPTURE, Type.STORED: UPLOAD},
    starting=_starting,
    about=_about,
    words={Key.CONTAINER: "k8s.container.name", Key.IMAGE: "container.image.name"},
    severity=_severity,
    links=_links,
    values=_values,
    metrics=metrics.SNAPSHOT,
)
