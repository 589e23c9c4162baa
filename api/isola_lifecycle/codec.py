"""Entries as the custom resource holds them.

One entry of `status.conditions`:

    {"sequence": 5, "type": "Ready", "status": "True", "reason": "PodReady",
     "message": "Accepting commands", "lastTransitionTime": "2026-11-24T01:40:00.123456Z",
     "observedGeneration": 1, "actor": "operator",
     "data": {"phase": "Running", "podIP": "10.244.1.7"}, "digest": "9f86d0…"}

`requestId` and `data` are left out when empty. `chain` says what the digest is and what it proves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from isola_lifecycle.archive import Segment, Subject
from isola_lifecycle.chain import digest
from isola_lifecycle.log import Condition, Log, Status
from isola_lifecycle.naming import SANDBOX, Resource


def encode(entry: Condition) -> dict[str, Any]:
    """Return `entry` as an item of `status.conditions`."""
    item: dict[str, Any] = {
        "sequence": entry.sequence,
        "type": entry.type,
        "status": str(entry.status),
        "reason": entry.reason,
        "message": entry.message,
        "lastTransitionTime": encode_time(entry.last_transition_time),
        "observedGeneration": entry.observed_generation,
        "actor": entry.actor,
    }
    if entry.request_id:
        item["requestId"] = entry.request_id
    if entry.data:
        item["data"] = dict(entry.data)
    if entry.digest:
        item["digest"] = entry.digest
    return item


def decode(item: Mapping[str, Any]) -> Condition:
    """Return the entry that an item of `status.conditions` stands for."""
    return Condition(
        sequence=int(item["sequence"]),
        type=item["type"],
        status=Status(item["status"]),
        reason=item["reason"],
        message=item["message"],
        last_transition_time=decode_time(item["lastTransitionTime"]),
        observed_generation=int(item.get("observedGeneration", 0)),
        actor=item["actor"],
        request_id=item.get("requestId", ""),
        data=dict(item.get("data", {})),
        digest=item["digest"],
    )


def decode_log(uid: str, status: Mapping[str, Any]) -> Log:
    """Return the log held in an object's `status`, newest first there, oldest first here."""
    items: Sequence[Mapping[str, Any]] = status.get("conditions") or ()
    return Log(uid, tuple(decode(item) for item in reversed(items)), int(status.get("archived", 0)))


def encode_segment(segment: Segment, of: Resource = SANDBOX) -> dict[str, Any]:
    """Return `segment` as the `spec` of a record, newest entry first as on the living object."""
    subject = segment.subject
    return {
        of.subject_field: {
            "name": subject.name,
            "uid": subject.uid,
            "labels": dict(subject.labels),
            "createdAt": encode_time(subject.created_at),
        },
        "first": segment.first,
        "last": segment.last,
        "final": segment.final,
        "entries": [encode(entry) for entry in reversed(segment.entries)],
    }


def decode_segment(spec: Mapping[str, Any], of: Resource = SANDBOX) -> Segment:
    """Return the segment that the `spec` of a record stands for."""
    subject = spec[of.subject_field]
    return Segment(
        subject=Subject(
            name=subject["name"],
            uid=subject["uid"],
            labels=dict(subject.get("labels", {})),
            created_at=decode_time(subject["createdAt"]),
        ),
        entries=tuple(decode(item) for item in reversed(spec["entries"])),
        final=bool(spec.get("final", False)),
    )


def encode_time(at: datetime) -> str:
    """Return `at` in RFC 3339, UTC, always with six decimals so that text sorts like time."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def decode_time(text: str) -> datetime:
    """Return the time that an RFC 3339 text stands for."""
    return datetime.fromisoformat(text)


def sealed(entry: Condition, previous: str) -> Condition:
    """Return `entry` with its digest, chained to the digest `previous`."""
    return replace(entry, digest=digest(encode(entry), previous))
