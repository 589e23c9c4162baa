"""What is to be verified: the parts of each log, wherever they come from, by the UID they are of.

Read from here

    an object       `status.conditions` of a Sandbox or RootfsSnapshot, newest first, and the mark
    a record        `spec.entries` of it, newest first, and what it says of itself
    a history       as `GET …/history` and `history -o json` give it; either order

and from lists of them, in the cluster or in files of JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from isola_kubectl.errors import UsageError
from isola_kubectl.kinds import KINDS, Kind, kind_of
from isola_kubectl.kubectl import Object
from isola_kubectl.lives import entries_of, mapping, mappings, oldest_first, subject_of
from isola_lifecycle.chain import Fault, Stretch

_DECODER = json.JSONDecoder()
_OBJECTS = {kind.resource.kind: kind for kind in KINDS}
_RECORDS = {kind.resource.record_kind: kind for kind in KINDS}


@dataclass
class Evidence:
    """All that is at hand of one log.

    Attributes:
        uid: What its chain begins at.
        kind: Of what kind of object.
        name: Of that object, as far as known.
        stretches: Its parts.
        faults: What is wrong with an object that holds a part, beside the entries themselves.
        present: Whether the object itself is among the parts.
        final: Whether one of the parts says that nothing was to follow.
    """

    uid: str
    kind: Kind
    name: str = ""
    stretches: list[Stretch] = field(default_factory=list[Stretch])
    faults: list[Fault] = field(default_factory=list[Fault])
    present: bool = False
    final: bool = False


def gathered(objects: Iterable[tuple[str, Object]]) -> list[Evidence]:
    """Return the evidence in `objects`, each with the file that it comes from, or empty.

    Raises:
        UsageError: One is none of the three.
    """
    found: dict[str, Evidence] = {}
    for source, item in objects:
        prefix = f"{source}: " if source else ""
        uid = _uid_of(item)
        if not uid and item.get("kind") not in _RECORDS:
            raise UsageError(
                f"{prefix}neither a Sandbox, a RootfsSnapshot, a record of one nor a history, nor a"
                " list of them, in JSON with its uid"
            )
        evidence = found.setdefault(uid, Evidence(uid, _kind_of(item)))
        _add(evidence, item, prefix)
    return list(found.values())


def _uid_of(item: Object) -> str:
    match item:
        case {"kind": str(word), "metadata": {"uid": str(uid)}} if word in _OBJECTS:
            return uid
        case {"kind": str(word), "spec": dict()} if word in _RECORDS:
            uid = subject_of(_RECORDS[word], item).get("uid")
            return uid if isinstance(uid, str) else ""
        case {"uid": str(uid), "entries": list()}:
            return uid
        case _:
            return ""


def _kind_of(item: Object) -> Kind:
    word = str(item.get("kind"))
    known = _OBJECTS.get(word) or _RECORDS.get(word)
    # A history does not say, but its entries do.
    return known or kind_of({str(entry.get("type")) for entry in mappings(item["entries"])})


def _add(evidence: Evidence, item: Object, prefix: str) -> None:
    word = item.get("kind")
    if word in _OBJECTS:
        _add_object(evidence, item, prefix)
    elif word in _RECORDS:
        _add_record(evidence, item, prefix)
    else:
        _add_history(evidence, item, prefix)


def _add_object(evidence: Evidence, item: Object, prefix: str) -> None:
    evidence.name = item["metadata"]["name"]
    evidence.present = True
    status = mapping(item.get("status"))
    source = f"{prefix}{evidence.kind.resource.kind} {evidence.name}"
    entries = oldest_first(status.get("conditions"))
    evidence.stretches.append(Stretch(source, entries))
    mark: Any = status.get("archived", 0)
    first = entries[0].get("sequence") if entries else None
    if first is not None and mark != (first - 1 if isinstance(first, int) else None):
        message = f"status.archived of {source} is {mark}, and its oldest entry is number {first}"
        evidence.faults.append(Fault(1, message, "archived"))


def _add_record(evidence: Evidence, item: Object, prefix: str) -> None:
    name, spec = item["metadata"]["name"], item["spec"]
    entries = entries_of(item)
    evidence.name = evidence.name or str(subject_of(evidence.kind, item).get("name", ""))
    evidence.final |= spec.get("final") is True
    source = f"{prefix}{evidence.kind.resource.record_kind} {name}"
    evidence.stretches.append(Stretch(source, entries))
    numbers = [entry.get("sequence") for entry in entries]
    at = next((number for number in numbers if isinstance(number, int)), 1)
    for about, message in _oddities(evidence.kind, item, numbers):
        evidence.faults.append(Fault(at, f"{source} {message}", about))


def _oddities(kind: Kind, item: Object, numbers: list[Any]) -> Iterator[tuple[str, str]]:
    """Yield what a record says of itself that does not fit its name or its entries."""
    spec, subject = item["spec"], subject_of(kind, item)
    first, last = spec.get("first"), spec.get("last")
    name = f"{subject.get('name')}-{subject.get('uid')}-{first}"
    if item["metadata"]["name"] != name:
        what = f"is named as the record of another {kind.noun} or part than it says: {name}"
        yield kind.resource.subject_field, what
    if not numbers or (first, last) != (numbers[0], numbers[-1]):
        held = f"{numbers[0]} to {numbers[-1]}" if numbers else "none"
        yield "last", f"says that it holds entries {first} to {last}, and holds {held}"


def _add_history(evidence: Evidence, item: Object, prefix: str) -> None:
    entries = mappings(item["entries"])
    numbers = [n for entry in entries if isinstance(n := entry.get("sequence"), int)]
    if numbers and numbers[0] > numbers[-1]:
        entries.reverse()
    evidence.name = evidence.name or str(item.get("id", ""))
    evidence.final |= item.get("deleted") is True
    source = f"{prefix}the history of {evidence.name}"
    evidence.stretches.append(Stretch(source, tuple(entries)))


def documents(text: str, source: str) -> Iterator[tuple[str, Object]]:
    """Yield the objects in a file: one or several JSON documents, each one object or a list.

    Raises:
        UsageError: It is not JSON.
    """
    position = 0
    while text[position:].strip():
        position += len(text[position:]) - len(text[position:].lstrip())
        try:
            document, position = _DECODER.raw_decode(text, position)
        except ValueError as error:
            raise UsageError(f"{source}: not JSON: {error}") from error
        yield from ((source, item) for item in _flattened(document, source))


def _flattened(document: Any, source: str) -> Iterator[Object]:
    items: list[Any] = [document]
    if isinstance(document, list):
        items = cast("list[Any]", document)
    elif isinstance(listed := mapping(document).get("items"), list):
        items = cast("list[Any]", listed)
    for item in items:
        if not isinstance(item, dict):
            raise UsageError(f"{source}: {json.dumps(item)[:60]} is no object of Kubernetes")
        yield mapping(item)
