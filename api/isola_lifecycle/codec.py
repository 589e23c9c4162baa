"""Entries as the custom resource holds them, and the chain of digests over that form.

One entry of `status.conditions`:

    {"sequence": 5, "type": "Ready", "status": "True", "reason": "PodReady",
     "message": "Accepting commands", "lastTransitionTime": "2026-11-24T01:40:00.123456Z",
     "observedGeneration": 1, "actor": "operator",
     "data": {"phase": "Running", "podIP": "10.244.1.7"}, "digest": "9f86d0…"}

`requestId` and `data` are left out when empty. The digest of an entry is

    SHA-256( digest of the entry before it, or the object's UID before the first
             + LF + the entry without its digest, as JSON with sorted keys, no spaces, UTF-8 )

in lower-case hex: anybody can recompute it with `jq -cjS` and `sha256sum`. It proves to a reader
that nothing was changed behind the API server's back, as long as the newest digest is known
from elsewhere; it is not a signature.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from isola_lifecycle.log import Condition, Log, Status


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


def encode_time(at: datetime) -> str:
    """Return `at` in RFC 3339, UTC, always with six decimals so that text sorts like time."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def decode_time(text: str) -> datetime:
    """Return the time that an RFC 3339 text stands for."""
    return datetime.fromisoformat(text)


def sealed(entry: Condition, previous: str) -> Condition:
    """Return `entry` with its digest, chained to the digest `previous`."""
    return replace(entry, digest=digest(encode(entry), previous))


def digest(item: Mapping[str, Any], previous: str) -> str:
    """Return the digest of an item of `status.conditions` that follows the digest `previous`."""
    content = {key: value for key, value in item.items() if key != "digest"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(f"{previous}\n{text}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Fault:
    """A place where a log is not what its writers wrote.

    Attributes:
        sequence: The number at which it shows; the change is there or just before.
        message: What is wrong.
    """

    sequence: int
    message: str


def faults(uid: str, items: Sequence[Mapping[str, Any]]) -> tuple[Fault, ...]:
    """Return where consecutive items, oldest first, break the numbering or the chain.

    It reads the items as they are stored, not as they decode, so that a field smuggled in counts
    as a change. Where the first item is not number 1, its digest is taken as given: what came
    before is in the archive.
    """
    found: list[Fault] = []
    first = int(items[0]["sequence"]) if items else 1
    previous = uid if first == 1 else None
    for expected, item in enumerate(items, start=first):
        if item["sequence"] != expected:
            found.append(Fault(expected, f"entry {expected} is missing: found {item['sequence']}"))
            break
        if previous is not None and item.get("digest") != digest(item, previous):
            found.append(Fault(expected, f"entry {expected} does not match its digest"))
        previous = str(item.get("digest"))
    return tuple(found)
